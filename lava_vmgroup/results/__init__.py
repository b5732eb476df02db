# SPDX-License-Identifier: MIT
"""The results of a job, and the files and the summary that are made of them."""
