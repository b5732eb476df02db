# SPDX-License-Identifier: MIT
"""Booted systems: a shell, ways for files in and out, and test definitions that run there."""
