# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Words that several of the programs use which run on a host.

# Systems keep the programs of their administrator away from other users.
find_all_programs() {
    PATH=$PATH:/usr/sbin:/sbin
}

# lock FLOCK'S WORDS: lock where the host has flock; without it there are no locks.
lock() {
    ! command -v flock >/dev/null || flock "$@"
}

# become COMMAND...: in a session of its own, so that the end of the connection hangs nothing up.
become() {
    ! command -v setsid >/dev/null || set -- setsid "$@"
    exec "$@"
}

# in_time SECONDS COMMAND...: end the command after this time, where the host has timeout.
in_time() {
    command -v timeout >/dev/null || shift
    ! command -v timeout >/dev/null || set -- timeout "$@"
    "$@"
}

# at_home FILE: print the name of a file that may begin with ~/.
at_home() {
    # shellcheck disable=SC2088 # the tilde itself is looked for
    case $1 in
        "~/"*) echo ~/"${1#"~/"}" ;;
        *) echo "$1" ;;
    esac
}
