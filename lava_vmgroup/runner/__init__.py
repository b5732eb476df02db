# SPDX-License-Identifier: MIT
"""Who runs when, and who cleans up."""
