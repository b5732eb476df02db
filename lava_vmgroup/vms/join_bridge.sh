#!/bin/sh
# SPDX-License-Identifier: MIT
# QEMU runs this program with the name of its tap device, to put the device on the bridge $BRIDGE.
# Nothing has to remove the device: it ends with QEMU.
. idioms.sh
find_all_programs
exec ip link set dev "$1" up master "$BRIDGE"
