# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# sh -c PROGRAM DISK START SIZE BLOCK: have a part of a disk read as zeros; numbers are in bytes.
# Discarded blocks may read back as anything, so -z has zeros written.
blkdiscard -z -o "$1" -l "$2" "$0" 2>/dev/null ||
    dd if=/dev/zero of="$0" bs="$3" seek="$(($1 / $3))" count="$(($2 / $3))" conv=notrunc
