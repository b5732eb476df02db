# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# sh -c PROGRAM BRIDGE ADDRESS: make the bridge of a group's network, or print the reason and fail.
. idioms.sh
find_all_programs
if [ ! -c /dev/net/tun ] || ! ( : <>/dev/net/tun ); then
    echo "/dev/net/tun does not open"
    exit 1
fi
ip link add name "$0" type bridge forward_delay 0 || exit 1
ip addr add "$1" dev "$0" && ip link set dev "$0" up && exit 0
ip link del "$0"
exit 1
