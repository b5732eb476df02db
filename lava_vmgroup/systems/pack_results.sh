# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# sh -c PROGRAM FOLDER LIMIT: pack the results of the test shell in FOLDER; print the bytes.
"$0/bin/lava-pack-results" "$0" "$1" >"$0/results.tar" 2>/dev/null
wc -c <"$0/results.tar"
