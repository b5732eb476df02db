# SPDX-License-Identifier: MIT
# Sourced by the MultiNode helpers, which set $bin: requests to the dispatcher and its replies.
#
# A request is one marker line, by the channel for records or on standard output.  A reply is one
# line that the dispatcher types on the console; other lines that arrive there are skipped.  What
# does not fit into a line comes and goes in parts (lava-parts.sh).  In a test a request is a record
# (lava-words.sh), its reply has the record's place, and a request that is not answered is printed
# again, on the console.
# shellcheck shell=sh

# A byte is a character, for lengths, patterns and awk.
LC_ALL=C
export LC_ALL

# shellcheck source=/dev/null disable=SC2154
. "$bin/../lava-environment"
# shellcheck source=lava_vmgroup/testdefs/scripts/lava-words.sh
. "$bin/lava-words.sh"
# shellcheck source=lava_vmgroup/testdefs/scripts/lava-parts.sh
. "$bin/lava-parts.sh"

# Characters: what any console takes as one line.
max_length=1000
# Bytes: what the dispatcher takes as one message.
max_message=1048576
newline='
'

check_message_id() {
    check_word 'the message id' "$1"
    case $1 in
        *=*) fail "the message id '$1' has a '='" ;;
    esac
}

# debug API WORDS...: a line for the log of a job that asked for one.
debug() {
    if [ -n "$LAVA_MULTI_NODE_DEBUG" ]; then
        api=$1
        shift
        printf '<LAVA_%s_DEBUG %s>\n' "$api" "$*"
    fi
}

# request API WORDS...
request() {
    api=$1
    shift
    words=$*
    [ "${#words}" -le "$max_length" ] || fail "the message is longer than $max_length characters"
    debug "$api" "request: $words"
    deliver "<LAVA_MULTI_NODE> <LAVA_$api $words>"
}

# send_message ID KEY=VALUE...
send_message() {
    for line; do
        case $line in
            *"$newline"*) fail "the value of '${line%%=*}' has a line end, which the cache file cannot hold" ;;
        esac
    done
    words=$*
    [ "${#words}" -lt "$max_message" ] || fail "the message is longer than $max_message bytes"
    for line; do
        case $line in
            # Anything but what is to be seen in ASCII, without "<" and ">".
            *[!!-\;=?-~]*) words= ;;
        esac
    done
    if [ -n "$words" ] && [ "${#words}" -le "$max_length" ]; then
        request SEND "$@"
    else
        debug SEND "request: $1 in parts"
        send_parts "$@"
    fi
    # In a test the dispatcher says that it has the message.  Who cannot read the console goes on.
    [ -z "$place" ] || await_answer SEND || :
}

# await_reply API: sets $reply to the words between the reply's name and its ">"; a reply that comes
# in parts leaves $reply empty and is in the cache file.
await_reply() {
    await_answer "$1" || fail "the console ended before LAVA_$1 was answered"
    debug "$1" "reply:$reply"
    [ "$reply" != ' nack' ] || fail "Error:no-response  nack, Exit from LAVA_$1!"
}

# await_answer API: sets $reply as it came; fails when the console ends.
await_answer() {
    # A reader in the background is to fail, not to be stopped.
    trap '' TTIN
    repeater=
    if [ -n "$place" ]; then
        repeat_request &
        repeater=$!
    fi
    # Not before: in bash, a child that is killed at once would do it as well.
    trap 'stop_repeating; rm -f "$LAVA_MULTI_NODE_CACHE.new"' EXIT
    # The standard input may be anything's, as in "command | while read word; do lava-send ...".
    if [ -r "${LAVA_CONSOLE:-}" ]; then
        read_answer "$1" <"$LAVA_CONSOLE"
    else
        read_answer "$1"
    fi
    answered=$?
    stop_repeating
    rm -f "$LAVA_MULTI_NODE_CACHE.new"
    trap - EXIT
    return "$answered"
}

# print_again: print the request where it is seen; the helper's output may have gone to no console.
print_again() {
    if [ -w "${LAVA_CONSOLE:-}" ]; then
        cat "$record_file" >"$LAVA_CONSOLE"
    else
        cat "$record_file"
    fi
}

# say_blocked: tell the dispatcher that nothing of the test goes on, if that is so.
say_blocked() {
    # shellcheck source=lava_vmgroup/testdefs/scripts/lava-blocked.sh
    . "$bin/lava-blocked.sh"
    if nothing_goes_on; then
        printf '<LAVA_MULTI_NODE> <LAVA_BLOCKED %s>\n' "$place" | {
            if [ -w "${LAVA_CONSOLE:-}" ]; then cat >"$LAVA_CONSOLE"; else cat; fi
        }
    fi
}

# repeat_request: print it again, ever more rarely.
repeat_request() {
    child=
    trap 'kill "$child" 2>/dev/null; exit 0' TERM
    pause=1
    waited=0
    while :; do
        sleep "${LAVA_REPEAT_PAUSE:-5}" >/dev/null 2>&1 &
        child=$!
        wait "$child"
        # The helper may have been killed.
        kill -0 "$$" 2>/dev/null || exit 0
        waited=$((waited + 1))
        if [ "$waited" -ge "$pause" ]; then
            print_again
            waited=0
            [ "$pause" -ge 8 ] || pause=$((pause * 2))
        fi
    done
}

stop_repeating() {
    if [ -n "$repeater" ]; then
        kill "$repeater" 2>/dev/null
        wait "$repeater" 2>/dev/null
        repeater=
    fi
}

# read_answer API
read_answer() {
    start="${place:+<$place}<LAVA_$1_COMPLETE"
    reply=
    taken=0
    transfer=
    [ -z "$place" ] || transfer=${place%.*}_${place#*.}
    # If the terminal refuses to be read, bash leaves the variable as it was.
    while line='' && IFS= read -r line || [ -n "$line" ]; do
        case $line in
            *"$start>"* | *"$start "*">"*)
                reply=${line#*"$start"}
                reply=${reply%%">"*}
                # A damaged one is asked for again in time.
                [ -z "$place" ] || check_reply "$1" || continue
                return 0
                ;;
            *"${place:+<$place}<LAVA_AGAIN "*) [ -z "$place" ] || print_again ;;
            *"${place:+<$place}<LAVA_BLOCKED "*) [ -z "$place" ] || say_blocked ;;
            *"$start "*) [ -n "$place" ] || fail "the reply to LAVA_$1 was cut short" ;;
            *"<LAVA_$1_PART "*">"*)
                line=${line#*"<LAVA_$1_PART "}
                if take_part "${line%%">"*}" "$LAVA_MULTI_NODE_CACHE.new"; then
                    mv "$LAVA_MULTI_NODE_CACHE.new" "$LAVA_MULTI_NODE_CACHE" || fail "cannot write '$LAVA_MULTI_NODE_CACHE'"
                    reply=
                    return 0
                fi
                [ "$taken" -eq 0 ] || stop_repeating
                ;;
            '') ;;
            *) want_part again ;; # this may have been the part
        esac
    done
    return 1
}

# check_reply API: whether $reply is whole; takes its check away.
check_reply() {
    told=${reply##*" CHECK="}
    reply=${reply%" CHECK=$told"}
    check_text "$place<LAVA_$1_COMPLETE$reply"
    [ "$check" = "$told" ]
}

# store_reply: one line "sender:key=value" for each word; no file when there is none.
store_reply() {
    set -f # a word such as "*" is data, not a pattern for files
    for word in $reply; do
        case $word in
            *=*) printf '%s\n' "$word" >>"$LAVA_MULTI_NODE_CACHE" ;;
            *) printf 'Warning:unrecognized message %s\n' "$word" ;;
        esac
    done
    set +f
}

# request_data API WORDS...: a request whose reply is kept in the cache file.
request_data() {
    # Data of an earlier reply must not pass for this one's, whatever happens next.
    rm -f "$LAVA_MULTI_NODE_CACHE" "$LAVA_MULTI_NODE_CACHE.new"
    request "$@"
    await_reply "$1"
    store_reply
}
