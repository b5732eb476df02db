# SPDX-License-Identifier: MIT
"""The ground floor: small modules that every other package may import and that import none."""
