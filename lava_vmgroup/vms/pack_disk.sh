# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Typed, for FOLDER LIMIT: pack the results of the test shell in a folder onto the disk $d.
# The guest's own cache has to be written out, then the host's file has it all.
# shellcheck disable=SC2154,SC2034 # d and f are those of on_the_disk.sh
n=$("$1/bin/lava-pack-results" "$1" "$2" 2>/dev/null | tee "$d" | wc -c);
sync;
echo packed "$n" bytes;
f=0
