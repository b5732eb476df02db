# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# sh -c PROGRAM FOLDER CONSOLE BLOCKS COMMAND...: start a VM's program, which outlives the link.
# Its console is the pipe CONSOLE.in and the file CONSOLE.out.  No file that it writes may have more
# than BLOCKS of 512 bytes.  If the folder is gone, the job has ended and nothing may start.
. idioms.sh
cd "$0" && mkfifo -m 600 "$1.in" && : >"$1.out" || exit 1
ulimit -f "$2" 2>/dev/null
shift 2
become sh -c 'trap "" HUP; "$@"' sh "$@" </dev/null >/dev/null 2>qemu.err &
echo $! >pid
