# SPDX-License-Identifier: MIT
"""Test definitions, and running them in a node's shell."""
