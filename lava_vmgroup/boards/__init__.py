# SPDX-License-Identifier: MIT
"""Board drivers: one module per client_type."""
