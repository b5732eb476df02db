# SPDX-License-Identifier: MIT
"""The checks of a job's dispatcher and host before the job is run."""
