# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Typed, for MAC ADDRESS/PREFIX ADDRESS NETMASK: give the guest's interface its address, and export
# the names of both.  Systems name interfaces differently, so the MAC address identifies it.
for d in /sys/class/net/*; do
    read -r a <"$d/address";
    [ "$a" = "$1" ] || continue;
    LAVA_VM_GROUP_IFACE=${d##*/};
    if command -v ip >/dev/null; then
        ip link set dev "$LAVA_VM_GROUP_IFACE" up;
        ip addr add "$2" dev "$LAVA_VM_GROUP_IFACE";
    else
        ifconfig "$LAVA_VM_GROUP_IFACE" "$3" netmask "$4" up;
    fi && export LAVA_VM_GROUP_IFACE LAVA_VM_GROUP_IP="$3";
done 2>/dev/null;
[ -n "$LAVA_VM_GROUP_IP" ]
