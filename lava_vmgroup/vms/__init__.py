# SPDX-License-Identifier: MIT
"""VMs on the host: their QEMU, their files, their network, and the removal of all that."""
