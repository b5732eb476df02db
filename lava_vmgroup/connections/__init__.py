# SPDX-License-Identifier: MIT
"""Streams of bytes to a board, a host or a VM, and files over SFTP."""
