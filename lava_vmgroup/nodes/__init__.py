# SPDX-License-Identifier: MIT
"""The participants of a group while the job runs: its host and its virtual machines."""
