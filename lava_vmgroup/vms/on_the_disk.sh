# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Typed, for SERIAL WORDS...: find the disk with this serial number, and call lava_work with WORDS.
# lava_work gets the disk in $d and sets $f to its status.  To start a process takes a slow guest a
# tenth of a second, so only commands that the shell has built in look for the disk.
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
