# SPDX-License-Identifier: MIT
"""What a job found out, and how it is written down."""
