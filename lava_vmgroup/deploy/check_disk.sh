# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# sh -c PROGRAM DISK: print the size of a disk in bytes, or say why nothing may be written to it.

# A disk on USB appears some seconds after the system's shell.
tries=0
while disk=$(readlink -f "$0"); [ ! -e "$disk" ] && [ $tries -lt 20 ]; do
    sleep 1
    tries=$((tries + 1))
done
refuse() {
    echo "$1"
    exit 1
}
[ -b "$disk" ] || refuse "it is no disk there"
[ ! -e "/sys/class/block/${disk##*/}/partition" ] || refuse "it is a partition there"
! grep "^$disk" /proc/mounts /proc/swaps || refuse "it is in use there"
[ "$(blockdev --getro "$disk")" != 1 ] || refuse "it is read-only there"
blockdev --getsize64 "$disk"
