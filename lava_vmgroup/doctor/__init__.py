# SPDX-License-Identifier: MIT
"""What can be said of a job's dispatcher and host before the job is run."""
