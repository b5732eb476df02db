# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# sh -c PROGRAM FOLDER WORDS...: put the supervisor, from the standard input, beside the job's
# folder, and run its command start; WORDS are those of supervisor.sh.
root=${0%/*} made=
[ -d "$root" ] || { mkdir -p "$root" && made=$root; }
cat >"$0.sh" && exec sh "$0.sh" start "$@" "$made"
