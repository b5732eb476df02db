# SPDX-License-Identifier: MIT
"""One module per result format."""
