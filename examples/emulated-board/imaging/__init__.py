# SPDX-License-Identifier: MIT
"""Builds file systems and disk images of a foreign architecture without running its code."""
