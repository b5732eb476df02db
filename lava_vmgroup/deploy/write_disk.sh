# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# sh -c PROGRAM DISK BLOCK NUMBER: write gzip's data to a disk, from a block's number on.
# The status of a pipe is that of its last program only, so that of gzip is printed.
{
    gzip -dc
    echo "unpacked: $?" >&2
} | dd of="$0" bs="$1" seek="$2" conv=notrunc
