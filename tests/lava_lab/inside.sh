#!/bin/sh
# SPDX-License-Identifier: MIT
# inside.sh STATE COMMAND...: run a command inside the lab that runs with the folder STATE, such as
#   inside.sh STATE lavacli --uri http://admin:lavalabtoken@127.0.0.1:8000/RPC2 jobs list
set -eu
read -r pid <"$1/pid"
shift
# start.sh has one child, unshare, which has the lab's first process.  The kernel ends no line there.
for _ in 1 2; do
    read -r pid <"/proc/$pid/task/$pid/children" || [ -n "$pid" ]
done
exec nsenter --target "${pid% }" --mount --pid --net --root \
    env -i --chdir=/ PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "$@"
