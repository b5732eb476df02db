# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Typed, for RECORD START COUNT FOLDER MADE: unpack a tar archive of the disk $d into FOLDER.  The
# archive has COUNT records of RECORD bytes, from record START on; nothing else is read.  Fail if
# MADE does not exist afterwards.
# The guest may have old blocks of the disk in its cache, so flush it.
# shellcheck disable=SC2154,SC2034 # d and f are those of on_the_disk.sh
blockdev --flushbufs "$d" 2>/dev/null;
dd if="$d" bs="$1" skip="$2" count="$3" 2>/dev/null | tar -xf - -C "$4";
f=$?;
# If the disk cannot be read, tar takes the missing input for an empty archive, and succeeds.
[ -e "$5" ] || f=1
