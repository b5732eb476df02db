# SPDX-License-Identifier: MIT
"""Dialogue with a console on top of a stream of bytes."""
