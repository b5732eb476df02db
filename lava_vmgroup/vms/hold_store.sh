# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# sh -c PROGRAM FOLDER: lock FOLDER, print "held", and keep the lock until the standard input ends.
# If another process has the lock, print "taken"; if the host has no flock, print "none".
command -v flock >/dev/null || { echo none; exit; }
exec 9<"$0"
if flock -n 9; then echo held; exec cat >/dev/null; else echo taken; fi
