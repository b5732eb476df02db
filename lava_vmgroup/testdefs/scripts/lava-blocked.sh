# SPDX-License-Identifier: MIT
# Sourced by lava-multi-node.sh: whether a test waits for this helper, and nothing else of it runs.
#
# The processes of a test have its LAVA_RESULT_DIR in their environment.  All of them must be this
# helper and its children, the shells that wait for it, and programs that copy the test's output.
# If they cannot be seen, the test counts as going on.
# shellcheck shell=sh

# nothing_goes_on: fails if it is not certain.
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
                # The programs of this very look are gone by now.
                look_at "$pid" || continue
                [ "$pid" != $$ ] || seen=yes
                is_ours "$pid" || copies_output || return
                ;;
        esac
    done
    [ "$seen" = yes ]
}

# environments: the file of each process, and what it has of this test; by three programs, however
# many processes there are.
environments() {
    head -c 65536 /proc/[0-9]*/environ 2>/dev/null | tr '\000' '\n' |
        grep -F -e '==> /proc/' -e "LAVA_RESULT_DIR=$LAVA_RESULT_DIR"
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

# is_shell PID: by the name that it was called by, for all programs of busybox are one file.
is_shell() {
    called=$(tr '\000' '\n' <"/proc/$1/cmdline" 2>/dev/null | head -n 1)
    called=${called##*/}
    case ${called#-} in
        sh | dash | bash | ash | ksh | mksh | zsh) ;;
        *) return 1 ;;
    esac
}

# is_ours PID: a shell that waits, this helper, a child of it, or a child of its repeater.
is_ours() {
    case $ancestors in
        *" $1 "*) return ;;
    esac
    [ "$parent" = $$ ] || [ "$parent" = "${repeater:-none}" ]
}

# copies_output: a program behind the test in a pipe (tee, cat) sends no messages.
copies_output() {
    case $program in
        tee | cat) ;;
        *) return 1 ;;
    esac
}
