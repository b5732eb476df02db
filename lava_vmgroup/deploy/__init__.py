# SPDX-License-Identifier: MIT
"""The way of images, kernels and other files to a board or a host."""
