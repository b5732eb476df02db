# SPDX-License-Identifier: MIT
"""Running test definitions in a node's shell: the dialogue, and the results that come back."""
