#!/bin/sh
# SPDX-License-Identifier: MIT
# QEMU runs this with the name of its tap device, which dies with it; the bridge is in BRIDGE.
. idioms.sh
find_all_programs
exec ip link set dev "$1" up master "$BRIDGE"
