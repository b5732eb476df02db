# SPDX-License-Identifier: MIT
"""How the nodes of a group find each other and synchronise."""
