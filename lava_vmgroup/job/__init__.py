# SPDX-License-Identifier: MIT
"""Jobs: reading, checking, and expanding them into sub-jobs."""
