# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Typed, for a folder: print the room of the file system that it will be on, and the free memory.
d=$1;
while [ ! -d "$d" ]; do d=${d%/*}; d=${d:-/}; done;
stat -f -c 'room %T %S %b %a' "$d" 2>/dev/null;
grep ^MemAvailable: /proc/meminfo
