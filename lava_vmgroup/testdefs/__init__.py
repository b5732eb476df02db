# SPDX-License-Identifier: MIT
"""Test definitions before they run: loaded, checked, and packed for a system."""
