# SPDX-License-Identifier: MIT
"""The ground: small modules that every other room may use, and that use none."""
