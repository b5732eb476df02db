# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# sh -c PROGRAM FILE: add the lines of the standard input to a file of authorized keys.
. idioms.sh
umask 077
file=$(at_home "$0")
mkdir -p "${file%/*}" && exec 9<"${file%/*}" || exit 1
lock 9
# A last line without an end would swallow the next one.
[ -z "$(tail -c 1 "$file" 2>/dev/null)" ] || echo >>"$file"
cat >>"$file"
