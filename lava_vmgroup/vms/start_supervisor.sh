# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# sh -c PROGRAM FOLDER WORDS...: write the supervisor's program, from the standard input, to a file
# beside the job's FOLDER, and run its command start with WORDS and ROOT; see supervisor.sh.
root=${0%/*} made=
[ -d "$root" ] || { mkdir -p "$root" && made=$root; }
cat >"$0.sh" && exec sh "$0.sh" start "$@" "$made"
