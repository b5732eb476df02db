# SPDX-License-Identifier: MIT
"""Runs test definitions in a node's shell: the dialogue, and the results that come back."""
