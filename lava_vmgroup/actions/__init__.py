# SPDX-License-Identifier: MIT
"""The job's commands, one module each."""
