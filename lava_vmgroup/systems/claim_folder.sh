# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# sh -c PROGRAM FOLDER LEDGER LOOKS: note in the job's LEDGER that FOLDER is to be removed.
# Exit with 3 if it is somebody else's, with 4 if an earlier job still has it after so many looks,
# one a second: its supervisor has yet to notice that the job is dead.
looks=0
is_left_over() {
    for ledger in "${1%/job-*}"/job-*/.supervisor/ledger; do
        [ "$ledger" = "$1" ] || ! grep -qsxF "folder $0" "$ledger" || return 0
    done
    return 1
}
while is_left_over "$1"; do
    [ "$((looks += 1))" -le "$2" ] || exit 4
    sleep 1
done
# Test shells of earlier jobs may have left theirs behind.
[ ! -e "$0" ] || [ -f "$0/lava-environment" ] || [ -z "$(ls -A "$0")" ] || exit 3
echo "folder $0" >>"$1"
