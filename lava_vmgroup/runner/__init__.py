# SPDX-License-Identifier: MIT
"""The run of a job: its checks, the nodes' threads, the clean-up, and the results' submission."""
