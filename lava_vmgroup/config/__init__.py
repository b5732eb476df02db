# SPDX-License-Identifier: MIT
"""The lab's configuration files, in LAVA v1's syntax and precedence."""
