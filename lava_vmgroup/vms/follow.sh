# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# sh -c PROGRAM FOLDER FILE PIPE POSITION PID_FILE: print FILE from its byte POSITION, counted from
# 1, and all that is added to it, until the process in PID_FILE ends.  Copy the standard input to
# PIPE.  End of file on the standard input means that the dispatcher is gone; then this ends, too.
cd "$0" || exit 0
file=$1 input=$2 position=$3 pid=
[ ! -e "$4" ] || read -r pid <"$4"
exec 3<&0
{ cat <&3 1<>"$input"; kill $$; } 2>/dev/null &
exec 3<&-
# Only GNU's tail can end with a process, and wakes when the file grows.
if tail --pid=$$ -c 0 /dev/null 2>/dev/null; then
    exec tail -c "+$position" -s 0.2 ${pid:+"--pid=$pid"} -f "$file"
fi
exec 3<"$file"
tail -c "+$position" <&3
while [ -z "$pid" ] || kill -0 "$pid" 2>/dev/null; do
    cat <&3
    sleep 0.2
done
cat <&3
