# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# sh -c PROGRAM FOLDER: say whether the folder's lock is "held" now, until the standard input ends,
# is "taken" by somebody else, or "none" as the host has no locks.
command -v flock >/dev/null || { echo none; exit; }
exec 9<"$0"
if flock -n 9; then echo held; exec cat >/dev/null; else echo taken; fi
