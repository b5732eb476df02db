# SPDX-License-Identifier: MIT
"""Ways for bytes to reach a board or a host."""
