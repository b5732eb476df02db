# SPDX-License-Identifier: MIT
"""Sphinx configuration."""

from lava_vmgroup import __version__

project = "lava_vmgroup"
author = "The lava_vmgroup authors"
copyright = "2026, The lava_vmgroup authors"
release = version = __version__
exclude_patterns = ["_build", "job-keys.rst"]
html_theme = "alabaster"
