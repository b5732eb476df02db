# SPDX-License-Identifier: MIT
# Sourced by the MultiNode helpers: sends and takes data that do not fit into one line of LAVA's.
#
# The data are lines of text.  They are percent-encoded and cut into parts "NAME NUMBER/COUNT CHECK
# TEXT"; CHECK is the Adler-32 of all the rest.  Awk does it: a shell takes minutes for long data.
# shellcheck shell=sh

# shellcheck disable=SC2016
parts_program='
BEGIN {
    for (byte = 1; byte < 256; byte++) {
        character = sprintf("%c", byte)
        code[character] = byte
        token[character] = character ~ /[A-Za-z0-9_.,:=@+\/-]/ ? character : sprintf("%%%02X", byte)
    }
}

function check(text,    low, high, place) {
    low = 1
    high = 0
    for (place = 1; place <= length(text); place++) {
        low = (low + code[substr(text, place, 1)]) % 65521
        high = (high + low) % 65521
    }
    return sprintf("%04x%04x", high, low)
}

function number(digit) {
    return index("0123456789ABCDEF", digit) - 1
}
'

# shellcheck disable=SC2016
split_program='
function put(text) {
    if (count == 0 || length(part[count]) + length(text) > 900)
        count++
    part[count] = part[count] text
}

{
    # Some awks look at all of a text to find one character of it: short pieces are faster.
    for (start = 1; start <= length($0); start += 256) {
        piece = substr($0, start, 256)
        for (place = 1; place <= length(piece); place++)
            put(token[substr(piece, place, 1)])
    }
    put("%0A")
}

END {
    for (n = 1; n <= count; n++) {
        head = name " " n "/" count
        print "<LAVA_MULTI_NODE> <LAVA_SEND_PART " head " " check(head " " part[n]) " " part[n] ">"
    }
}
'

# shellcheck disable=SC2016
join_program='
{
    if (NF != 4 || $3 != check($1 " " $2 " " $4))
        exit 1
    text = $4
    while (place = index(text, "%")) {
        byte = 16 * number(substr(text, place + 1, 1)) + number(substr(text, place + 2, 1))
        printf "%s%c", substr(text, 1, place - 1), byte
        text = substr(text, place + 3)
    }
    printf "%s", text
}
'

# send_parts LINE...: print the markers of a message; in a test they are kept as one record.
send_parts() {
    # shellcheck disable=SC2154 # keep_record sets place and record_file
    if keep_record "$1"; then
        name=${place%.*}_${place#*.}
        if { print_parts "$name" "$@" >"$record_file"; } 2>/dev/null; then
            say_kept cat "$record_file"
        else
            print_parts "$name" "$@"
        fi
    else
        print_parts "$$" "$@"
    fi || fail 'this message needs awk'
}

# print_parts NAME LINE...: print a marker for each part of a message.
print_parts() {
    name=$1
    shift
    printf '%s\n' "$@" | awk -v "name=$name" "$parts_program$split_program"
}

# take_part WORDS FILE: append the text of a part to FILE, and ask for the next part; succeeds if it
# was the last.  $taken is the number of parts in FILE.
take_part() {
    part=${1#* }
    part=${part%% *}
    if [ "${part%%/*}" = "$((taken + 1))" ] && [ "${transfer:-${1%% *}}" = "${1%% *}" ]; then
        printf '%s\n' "$1" | awk "$parts_program$join_program" >>"$2"
        case $? in
            0)
                taken=$((taken + 1))
                transfer=${1%% *}
                count=${part#*/}
                want_part
                ;;
            1) want_part again ;;
            *) fail "cannot decode the reply with awk, or not write '$2'" ;;
        esac
    elif [ "${part%%/*}" -le "$taken" ] 2>/dev/null; then
        want_part
    else
        want_part again
    fi
    [ "$taken" -gt 0 ] && [ "$taken" = "$count" ]
}

# want_part [again]: if a reply has begun, ask for its next part; the one after the last ends it.
# With "again", the dispatcher types the part even if it has done so before.
want_part() {
    if [ "$taken" -gt 0 ]; then
        printf '<LAVA_MULTI_NODE> <LAVA_WANT_PART %s %s%s>\n' "$transfer" "$((taken + 1))" "${1:+ $1}"
    fi
}
