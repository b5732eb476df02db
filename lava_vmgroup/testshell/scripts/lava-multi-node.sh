# SPDX-License-Identifier: MIT
# Sourced by the MultiNode helpers, which set $bin: requests to the dispatcher and its replies.
#
# A request is one marker line on standard output.  A reply is one line that the dispatcher types
# on standard input, the console; other lines that arrive there are skipped.  What does not fit into
# a line comes and goes in parts (lava-parts.sh).
# shellcheck shell=sh

# A byte is a character, for lengths, patterns and awk.
LC_ALL=C
export LC_ALL

# shellcheck source=/dev/null disable=SC2154
. "$bin/../lava-environment"
# shellcheck source=lava_vmgroup/testshell/scripts/lava-words.sh
. "$bin/lava-words.sh"
# shellcheck source=lava_vmgroup/testshell/scripts/lava-parts.sh
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
    printf '<LAVA_MULTI_NODE> <LAVA_%s %s>\n' "$api" "$words"
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
}

# await_reply API: sets $reply to the words between the reply's name and its ">"; a reply that comes
# in parts leaves $reply empty and is in the cache file.
await_reply() {
    start="<LAVA_$1_COMPLETE"
    reply=
    taken=0
    transfer=
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
            *"$start>"* | *"$start "*">"*)
                reply=${line#*"$start"}
                reply=${reply%%">"*}
                debug "$1" "reply:$reply"
                [ "$reply" != ' nack' ] || fail "Error:no-response  nack, Exit from LAVA_$1!"
                return
                ;;
            *"$start "*) fail "the reply to LAVA_$1 was cut short" ;;
            *"<LAVA_$1_PART "*">"*)
                line=${line#*"<LAVA_$1_PART "}
                if take_part "${line%%">"*}" "$LAVA_MULTI_NODE_CACHE.new"; then
                    mv "$LAVA_MULTI_NODE_CACHE.new" "$LAVA_MULTI_NODE_CACHE" || fail "cannot write '$LAVA_MULTI_NODE_CACHE'"
                    debug "$1" "reply: $taken parts"
                    return
                fi
                ;;
            '') ;;
            *) want_part again ;; # this may have been the part
        esac
    done
    fail "the console ended before LAVA_$1 was answered"
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
    trap 'rm -f "$LAVA_MULTI_NODE_CACHE.new"' EXIT
    request "$@"
    await_reply "$1"
    store_reply
}
