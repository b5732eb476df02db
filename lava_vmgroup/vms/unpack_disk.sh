# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Typed, for RECORD START COUNT FOLDER MADE: unpack a tar archive of so many records of the disk $d,
# from a record's number on, into a folder; MADE is there when that succeeds.
# The guest may have read the disk before, and the archive is all that it has to read of it.
# shellcheck disable=SC2154,SC2034 # d and f are those of on_the_disk.sh
blockdev --flushbufs "$d" 2>/dev/null;
dd if="$d" bs="$1" skip="$2" count="$3" 2>/dev/null | tar -xf - -C "$4";
f=$?;
# A disk that cannot be read is an empty archive to tar.
[ -e "$5" ] || f=1
