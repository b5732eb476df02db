# SPDX-License-Identifier: MIT
# Sourced by the MultiNode helpers, which set $bin: requests to the dispatcher and its replies.
#
# 1. A request is one marker line, on the channel for records or on standard output.
# 2. The dispatcher types the reply as one line on the console.  The helper skips other lines there.
# 3. Data that do not fit into one line go in parts, in both directions (lava-parts.sh).
# 4. In a test, a request is a record (lava-words.sh), and its reply carries the record's place.
# 5. If no reply to a record comes, the helper prints it again, on the console.
# shellcheck shell=sh

# In this locale a byte is a character, for lengths, patterns and awk.
LC_ALL=C
export LC_ALL

# shellcheck source=/dev/null disable=SC2154
. "$bin/../lava-environment"
# shellcheck source=lava_vmgroup/testdefs/scripts/lava-words.sh
. "$bin/lava-words.sh"
# shellcheck source=lava_vmgroup/testdefs/scripts/lava-parts.sh
. "$bin/lava-parts.sh"
# shellcheck source=lava_vmgroup/testdefs/scripts/lava-turns.sh
. "$bin/lava-turns.sh"

# Characters of a line that any console takes.
max_length=1000
# Bytes of a message that the dispatcher takes.
max_message=1048576
# A reply that is still arriving: another helper's has a file of its own.
fresh=$LAVA_MULTI_NODE_CACHE.new.$$
newline='
'

check_message_id() {
    check_word 'the message id' "$1"
    case $1 in
        *=*) fail "the message id '$1' has a '='" ;;
    esac
}

# debug API WORDS...: print a line for the log, if the job asked for debug lines.
debug() {
    if [ -n "$LAVA_MULTI_NODE_DEBUG" ]; then
        api=$1
        shift
        printf '<LAVA_%s_DEBUG %s>\n' "$api" "$*"
    fi
}

# request API WORDS...: send a request in one line.
request() {
    api=$1
    shift
    words=$*
    [ "${#words}" -le "$max_length" ] || fail "the message is longer than $max_length characters"
    debug "$api" "request: $words"
    deliver "<LAVA_MULTI_NODE> <LAVA_$api $words>"
}

# send_message ID KEY=VALUE...: send a message, in parts if one line cannot carry it.
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
            # A line carries only visible ASCII characters without "<" and ">".
            *[!!-\;=?-~]*) words= ;;
        esac
    done
    if [ -n "$words" ] && [ "${#words}" -le "$max_length" ]; then
        request SEND "$@"
    else
        debug SEND "request: $1 in parts"
        send_parts "$@"
    fi
    # In a test, the dispatcher confirms the message.  If the console cannot be read, go on without.
    [ -z "$place" ] || await_answer SEND || :
}

# await_reply API: wait for the reply, and set $reply to the words between its name and its ">".  A
# reply in parts goes to the cache file and leaves $reply empty.  If the console ends or the
# dispatcher refuses the request, the helper ends.
await_reply() {
    await_answer "$1" || fail "the console ended before LAVA_$1 was answered"
    debug "$1" "reply:$reply"
    [ "$reply" != ' nack' ] || fail "Error:no-response  nack, Exit from LAVA_$1!"
}

# await_answer API: wait for the reply, or a refusal, and set $reply.  Fails if the console ends.
await_answer() {
    # SIGTTIN would stop a helper in the background; without it, the read fails.
    trap '' TTIN
    repeater=
    if [ -n "$place" ]; then
        repeat_request &
        repeater=$!
    fi
    # The repeater starts before the trap is set: in bash, a child that is killed at once would run
    # the trap, too.
    trap 'stop_repeating; leave_turn; rm -f "$fresh"' EXIT
    # Standard input may be a pipe, as in "command | while read word; do lava-send ...".
    if [ -r "${LAVA_CONSOLE:-}" ]; then
        read_answer "$1" <"$LAVA_CONSOLE"
    else
        read_answer "$1"
    fi
    answered=$?
    stop_repeating
    leave_turn
    rm -f "$fresh"
    trap - EXIT
    return "$answered"
}

# print_again: print the request on the console; the helper's standard output may lead elsewhere.
print_again() {
    if [ -w "${LAVA_CONSOLE:-}" ]; then
        cat "$record_file" >"$LAVA_CONSOLE"
    else
        cat "$record_file"
    fi
}

# say_blocked: if the test does nothing but wait for this helper, report that to the dispatcher.
say_blocked() {
    # shellcheck source=lava_vmgroup/testdefs/scripts/lava-blocked.sh
    . "$bin/lava-blocked.sh"
    if nothing_goes_on; then
        printf '<LAVA_MULTI_NODE> <LAVA_BLOCKED %s>\n' "$place" | {
            if [ -w "${LAVA_CONSOLE:-}" ]; then cat >"$LAVA_CONSOLE"; else cat; fi
        }
    fi
}

# repeat_request: print the request again and again, at growing intervals, until it is killed.
repeat_request() {
    child=
    trap 'kill "$child" 2>/dev/null; exit 0' TERM
    pause=1
    waited=0
    while :; do
        sleep "${LAVA_REPEAT_PAUSE:-5}" >/dev/null 2>&1 &
        child=$!
        wait "$child"
        # If the helper was killed, nobody waits for the reply.
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

# read_answer API: read lines until the reply comes, and set $reply.  Fails at the end of input.
read_answer() {
    start="${place:+<$place}<LAVA_$1_COMPLETE"
    reply=
    taken=0
    transfer=
    [ -z "$place" ] || transfer=${place%.*}_${place#*.}
    while next_line; do
        case $line in
            *"$start>"* | *"$start "*">"*)
                reply=${line#*"$start"}
                reply=${reply%%">"*}
                # If the reply is damaged, the repeater asks for it again.
                [ -z "$place" ] || check_reply "$1" || continue
                return 0
                ;;
            *"${place:+<$place}<LAVA_AGAIN "*) [ -z "$place" ] || print_again ;;
            *"${place:+<$place}<LAVA_BLOCKED "*) [ -z "$place" ] || say_blocked ;;
            *"$start "*) [ -n "$place" ] || fail "the reply to LAVA_$1 was cut short" ;;
            *"<LAVA_$1_PART "*">"*)
                line=${line#*"<LAVA_$1_PART "}
                if take_part "${line%%">"*}" "$fresh"; then
                    mv "$fresh" "$LAVA_MULTI_NODE_CACHE" || fail "cannot write '$LAVA_MULTI_NODE_CACHE'"
                    reply=
                    return 0
                fi
                [ "$taken" -eq 0 ] || stop_repeating
                ;;
            '') ;;
            *) want_part again ;; # the line may be a damaged part
        esac
    done
    return 1
}

# check_reply API: remove the check from $reply; fails if the reply is damaged.
check_reply() {
    told=${reply##*" CHECK="}
    reply=${reply%" CHECK=$told"}
    check_text "$place<LAVA_$1_COMPLETE$reply"
    [ "$check" = "$told" ]
}

# store_reply: append a line "sender:key=value" to the cache file for each word of $reply.  Without
# words, there is no file.
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

# request_data API WORDS...: send a request, wait for the reply, and keep it in the cache file.
request_data() {
    # If the request fails, the test must not read the data of an earlier reply.
    rm -f "$LAVA_MULTI_NODE_CACHE" "$fresh"
    request "$@"
    await_reply "$1"
    store_reply
}
