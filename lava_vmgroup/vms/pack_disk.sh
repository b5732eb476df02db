# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Typed, for FOLDER LIMIT: write the results of the test shell in FOLDER, up to LIMIT bytes, to the
# disk $d.  The host sees all of them in the disk's file only after the guest has flushed its cache.
# shellcheck disable=SC2154,SC2034 # d and f are those of on_the_disk.sh
n=$("$1/bin/lava-pack-results" "$1" "$2" 2>/dev/null | tee "$d" | wc -c);
sync;
echo packed "$n" bytes;
f=0
