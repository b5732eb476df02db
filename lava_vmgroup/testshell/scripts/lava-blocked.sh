# SPDX-License-Identifier: MIT
# Sourced by lava-multi-node.sh: whether a test waits for this helper, and nothing else of it runs.
#
# The processes of a test have its LAVA_RESULT_DIR in their environment.  All of them must be this
# helper and its children, the shells that wait for it, and programs that copy the test's output.
# What cannot be seen may go on.
# shellcheck shell=sh

# nothing_goes_on: fails where it is not certain.
nothing_goes_on() {
    [ -n "${LAVA_RESULT_DIR:-}" ] && waits_in_foreground && find_ancestors || return
    seen=no
    # shellcheck disable=SC2013
    for environment in $(grep -lsF "LAVA_RESULT_DIR=$LAVA_RESULT_DIR" /proc/[0-9]*/environ); do
        pid=${environment#/proc/}
        pid=${pid%/environ}
        # The programs of this very look are gone by now.
        look_at "$pid" || continue
        [ "$pid" != $$ ] || seen=yes
        is_ours "$pid" || copies_output || return
    done
    [ "$seen" = yes ]
}

# waits_in_foreground: a shell has SIGINT ignored by the commands that it does not wait for.
waits_in_foreground() {
    while read -r name mask; do
        [ "$name" != SigIgn: ] || break
    done <"/proc/$$/status"
    case $mask in
        '' | *[2367abef]) return 1 ;;
    esac
}

# find_ancestors: sets $ancestors to the shells that wait for this helper; other programs may do
# something beside.
find_ancestors() {
    ancestors=" $$ "
    look_at $$ || return
    while
        ancestor=$parent
        # Those of another user have processes that this one does not see.
        [ -r "/proc/$ancestor/environ" ] && look_at "$ancestor" || return
        [ "$program" != lava-test-shell ]
    do
        is_shell "$ancestor" || return
        ancestors="$ancestors$ancestor "
    done
}

# look_at PID: sets $program and $parent; fails when there is no such process any more.
look_at() {
    { read -r facts <"/proc/$1/stat"; } 2>/dev/null || return
    program=${facts#*\(}
    program=${program%)*}
    facts=${facts##*) }
    parent=${facts#? }
    parent=${parent%% *}
    [ "${facts%% *}" != Z ]
}

# is_shell PID
is_shell() {
    shell=$(readlink "/proc/$1/exe") || return
    case ${shell##*/} in
        sh | dash | bash | ash | busybox* | ksh* | mksh* | zsh* | toybox*) ;;
        *) return 1 ;;
    esac
}

# is_ours PID: a shell that waits, this helper, what it has started, and what that has.
is_ours() {
    case $ancestors in
        *" $1 "*) return ;;
    esac
    [ "$parent" = $$ ] || [ "$parent" = "${repeater:-none}" ]
}

# copies_output: what stands behind a test in a pipe sends no messages.
copies_output() {
    case $program in
        tee | cat) ;;
        *) return 1 ;;
    esac
}
