# SPDX-License-Identifier: MIT
"""The MultiNode coordinator and its clients, through which the nodes of a group synchronise."""
