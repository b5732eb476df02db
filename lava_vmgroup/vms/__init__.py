# SPDX-License-Identifier: MIT
"""Virtual machines on the host."""
