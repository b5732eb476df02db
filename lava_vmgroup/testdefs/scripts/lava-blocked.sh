# SPDX-License-Identifier: MIT
# Sourced by lava-multi-node.sh: finds out if a test waits for this helper and does nothing else.
#
# The processes of a test have its LAVA_RESULT_DIR in their environment.  The test is blocked if all
# of them are this helper and its children, the shells that wait for it, and programs that copy the
# test's output.  If they cannot be seen, the test counts as running.
# shellcheck shell=sh

# nothing_goes_on: succeed if the test is certainly blocked.
nothing_goes_on() {
    [ -n "${LAVA_RESULT_DIR:-}" ] && waits_in_foreground && find_ancestors || return
    seen=no
    for word in $(environments); do
        case $word in
            /proc/*/environ)
                pid=${word#/proc/}
                pid=${pid%/environ}
                ;;
            LAVA_RESULT_DIR=*)
                # The programs that `environments` started have ended by now.
                look_at "$pid" || continue
                [ "$pid" != $$ ] || seen=yes
                is_ours "$pid" || copies_output || return
                ;;
        esac
    done
    [ "$seen" = yes ]
}

# environments: print the file name of each process's environment, and this test's LAVA_RESULT_DIR
# if it is in there.  It takes three programs for any number of processes.
environments() {
    head -c 65536 /proc/[0-9]*/environ 2>/dev/null | tr '\000' '\n' |
        grep -F -e '==> /proc/' -e "LAVA_RESULT_DIR=$LAVA_RESULT_DIR"
}

# waits_in_foreground: succeed if the shell waits for this helper.  A shell starts commands in the
# background with SIGINT ignored.
waits_in_foreground() {
    while read -r name mask; do
        [ "$name" != SigIgn: ] || break
    done <"/proc/$$/status"
    case $mask in
        '' | *[2367abef]) return 1 ;;
    esac
}

# find_ancestors: set $ancestors to the shells that wait for this helper.  Fails if another program
# waits for it: that program may do other work, too.
# shellcheck disable=SC2154 # look_at of lava-turns.sh sets program and parent
find_ancestors() {
    ancestors=" $$ "
    look_at $$ || return
    while
        ancestor=$parent
        # An ancestor of another user may have processes that this user cannot see.
        [ -r "/proc/$ancestor/environ" ] && look_at "$ancestor" || return
        [ "$program" != lava-test-shell ]
    do
        is_shell "$ancestor" || return
        ancestors="$ancestors$ancestor "
    done
}

# is_shell PID: succeed if the process was started by a shell's name.  The program's file does not
# tell: all programs of busybox are one file.
is_shell() {
    called=$(tr '\000' '\n' <"/proc/$1/cmdline" 2>/dev/null | head -n 1)
    called=${called##*/}
    case ${called#-} in
        sh | dash | bash | ash | ksh | mksh | zsh) ;;
        *) return 1 ;;
    esac
}

# is_ours PID: succeed for this helper, a shell that waits for it, its children, and the children of
# its repeater.
is_ours() {
    case $ancestors in
        *" $1 "*) return ;;
    esac
    [ "$parent" = $$ ] || [ "$parent" = "${repeater:-none}" ]
}

# copies_output: succeed for a program behind the test in a pipe (tee, cat): it sends no messages.
copies_output() {
    case $program in
        tee | cat) ;;
        *) return 1 ;;
    esac
}
