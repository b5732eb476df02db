# SPDX-License-Identifier: MIT
"""Run a group of virtual machines and their host board as one test job."""

__version__ = "0.1.0"
