# SPDX-License-Identifier: MIT
# Sourced by the helpers: reads the addresses of a network interface.
# shellcheck shell=sh

# read_interface IFACE: set $ipv4, $netmask, $broadcast, $ipv6 and $mac; one that the interface does
# not have stays empty.  Fails if there is no such interface.
read_interface() {
    ipv4=
    netmask=
    broadcast=
    ipv6=
    mac=
    if command -v ip >/dev/null; then
        description=$(ip addr show dev "$1") || return
    else
        description=$(ifconfig "$1") || return
    fi
    set -f
    # shellcheck disable=SC2086
    set -- $description
    set +f
    while [ $# -gt 1 ]; do
        read_pair "$1" "$2" "${3:-}"
        shift
    done
}

# read_pair WORD NEXT AFTER: read one word of ip's or ifconfig's output, with the two that follow.
# The first address of a kind counts.
read_pair() {
    case $1 in
        inet)
            if [ -z "$ipv4" ]; then
                ipv4=${2%%/*}
                ipv4=${ipv4#addr:}
                case $2 in
                    */*) netmask=$(netmask_of "${2##*/}") ;;
                esac
            fi
            ;;
        inet6)
            address=$2
            [ "$address" != addr: ] || address=$3
            [ -n "$ipv6" ] || ipv6=${address%%/*}
            ;;
        brd | broadcast)
            # "brd" follows the hardware's address, too.
            case $2 in
                *.*.*.*) [ -n "$broadcast" ] || broadcast=$2 ;;
            esac
            ;;
        netmask) [ -n "$netmask" ] || netmask=$2 ;;
        Bcast:*) [ -n "$broadcast" ] || broadcast=${1#Bcast:} ;;
        Mask:*) [ -n "$netmask" ] || netmask=${1#Mask:} ;;
        link/ether | ether | HWaddr) [ -n "$mac" ] || mac=$2 ;;
    esac
}

# netmask_of BITS: print the netmask, for example 255.255.255.0 for 24.
netmask_of() {
    bits=$1
    mask=
    for _ in 1 2 3 4; do
        octet=$((bits > 8 ? 8 : bits))
        bits=$((bits - octet))
        mask=$mask${mask:+.}$((256 - (1 << (8 - octet))))
    done
    echo "$mask"
}
