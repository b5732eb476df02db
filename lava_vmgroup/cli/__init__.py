# SPDX-License-Identifier: MIT
"""The programs: their arguments, the terminal, signals and exit statuses."""
