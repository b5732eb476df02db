# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Typed, for a serial number and further words: call lava_work with these words; it finds the disk
# with the number in $d, and sets $f to its status.  A process takes a slow guest a tenth of a
# second, so what the shell has built in is used.
f=1;
for d in /sys/block/*; do
    s=;
    { read -r s <"$d/serial"; } 2>/dev/null;
    [ "$s" = "$1" ] || continue;
    d=/dev/${d##*/};
    shift;
    lava_work "$@";
    break;
done;
[ "$f" = 0 ]
