# SPDX-License-Identifier: MIT
# Run by lava-background-process-start: runs the command in the file $2 with the shell $1, again and
# again, until it gets TERM or the job removes the test's folder.
# shellcheck shell=sh
child=
trap 'kill "$child" 2>/dev/null; exit 0' TERM
while [ -d "${2%/*}" ]; do
    "$1" "$2" &
    child=$!
    wait "$child"
    sleep 1 &
    child=$!
    wait "$child"
done
