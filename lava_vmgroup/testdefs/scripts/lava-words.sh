# SPDX-License-Identifier: MIT
# Sourced by the helpers: words for markers, records, and results kept on disk.
# shellcheck shell=sh

# A test may have exported bash's SHELLOPTS: the trace of a marker would look like a marker.
{ set +efxC; } 2>/dev/null
# Without this, a write beyond the limit of a file's size would kill the helper, and its verdict
# would be lost.
trap '' XFSZ 2>/dev/null

# fail MESSAGE...: end the helper.
fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# warn MESSAGE...: print a warning; the helper goes on.
warn() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# check_word WHAT WORD: end the helper if WORD cannot stand in a marker, which is one line, is split
# at blanks, and ends at ">".
check_word() {
    case $2 in
        '') fail "$1 is empty" ;;
        *[[:space:]]* | *[[:cntrl:]]* | *[\<\>]*) fail "$1 '$2' has a blank, a control character, '<' or '>'" ;;
    esac
}

# fit WHAT TEXT: set $fitted to the text in a form that a marker can hold: one line of at most 1000
# characters, without "<" and ">".
fit() {
    fitted=$2
    while later=${fitted#*[[:cntrl:]]} && [ "$later" != "$fitted" ]; do
        earlier=${fitted%"$later"}
        fitted="${earlier%?} $later"
    done
    while later=${fitted#*[\<\>]} && [ "$later" != "$fitted" ]; do
        earlier=${fitted%"$later"}
        fitted="${earlier%?}_$later"
    done
    [ "${#fitted}" -le 1000 ] || fitted=$(printf '%.1000s' "$fitted")
    [ "$fitted" = "$2" ] || warn "$1 is recorded as '$fitted'"
}

# fit_value WHAT TEXT: the same, without text that would begin another value in the marker.
fit_value() {
    fit "$1" "$2"
    value=" $fitted"
    for key in TEST_CASE_ID RESULT UNITS MEASUREMENT REFERENCE; do
        while later=${value#*[![:graph:]]"$key="} && [ "$later" != "$value" ]; do
            earlier=${value%"$later"}
            value="${earlier%?}_$later"
        done
    done
    value=${value# }
    [ "$value" = "$fitted" ] || warn "$1 is recorded as '$value'"
    fitted=$value
}

# read_words WHAT WORD...: set $words to the words before the next option, and $count to their
# number.  A text of several words may have been given without quotes.
read_words() {
    what=$1
    shift
    words=
    count=0
    for word; do
        case $word in
            --shell | --result | --units | --measurement | --output | --reference) break ;;
            --*) [ "$count" -eq 0 ] || break ;;
        esac
        words=$words${words:+${word:+ }}$word
        count=$((count + 1))
    done
    [ "$count" -le 1 ] || warn "$what has several words: '$words'"
}

# read_id WORD...: the same for the name of a test case, which is "unnamed" if it is missing.
read_id() {
    read_words 'the ID' "$@"
    case $words in
        *[![:space:][:cntrl:]]*) return ;;
    esac
    words=unnamed
    warn "the ID is missing, it is recorded as '$words'"
}

# read_result TEXT: set $result to the text with "_" for blanks.  Words behind a failure, as in
# "fail: 3 of 4", are left out; behind another verdict they make it unknown.
read_result() {
    set -f
    # shellcheck disable=SC2086
    set -- $1
    set +f
    result=${1:-}
    case ${result%[:,;]} in
        fail | FAIL)
            result=${result%[:,;]}
            [ $# -eq 1 ] || warn "of the result, only '$result' is recorded"
            return
            ;;
    esac
    while [ $# -gt 1 ]; do
        shift
        result=${result}_$1
    done
}

# signal NAME WORDS...: print a marker that may get lost.  The name is an argument of printf, so a
# trace of this line is no marker itself.
signal() {
    name=$1
    shift
    printf '<LAVA_SIGNAL_%s%s>\n' "$name" "${*:+ $*}"
}

# record TEXT: print a marker; in a test, as a record with its place and check.  The record is also
# kept, because the dispatcher may ask for it again.
record() {
    keep_record "$1" || line=$1
    printf '%s\n' "$line"
}

# deliver TEXT: the same for a marker that need not stand among the console's lines.  It goes by the
# channel for records, if there is one and no other helper is using it.
deliver() {
    keep_record "$1" || line=$1
    say_kept printf '%s\n' "$line"
}

# say_kept COMMAND...: have COMMAND print the kept record: on the channel for records if the record
# is on disk and the channel can be written to, else on standard output.
say_kept() {
    if [ -n "$place" ] && [ -s "$record_file" ] && [ -n "${LAVA_RECORDS:-}" ] &&
        { "$@" >>"$LAVA_RECORDS"; } 2>/dev/null; then
        return
    fi
    "$@"
}

# keep_record TEXT: make the next record of the test; set $line to it, $place and $record_file.
# Fails if it cannot make one.  The process that creates the file owns the number, even while others
# record.  On a full disk, the file stays empty.
keep_record() {
    place=
    records=${LAVA_RESULT_DIR:-}/records
    [ -d "$records" ] || return
    number=
    { read -r number <"$records/last"; } 2>/dev/null
    case $number in
        *[!0-9]*) number= ;;
    esac
    test_number=${LAVA_RESULT_DIR##*/}
    test_number=${test_number%%_*}
    set -C
    until
        number=$((number + 1))
        record_file=$records/$number
        { true >"$record_file"; } 2>/dev/null
    do
        # If there is no such file, no other process has the number: nothing can be written here.
        [ -e "$record_file" ] || break
    done
    set +C
    [ -e "$record_file" ] || return
    place=$test_number.$number
    envelop "$place" "$1"
    { printf '%s\n' "$line" >"$record_file"; } 2>/dev/null || { true >"$record_file"; } 2>/dev/null
    { printf '%s\n' "$number" >"$records/last"; } 2>/dev/null || :
}

# envelop PLACE TEXT: set $line to the record of TEXT.
envelop() {
    check_text "$1${2%>}"
    line="<$1${2%>} CHECK=$check>"
}

printable=' !"#$%&'\''()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefghijklmnopqrstuvwxyz{|}~'

# check_text TEXT: set $check to the check of TEXT, without starting a program.  It reads TEXT in
# pieces: a shell looks at all of a text to take one character of it.
check_text() {
    # In this locale a byte is a character.
    locale=${LC_ALL-unset}
    LC_ALL=C
    check=0
    text=$1
    while [ -n "$text" ]; do
        later=${text#????????}
        [ "$later" != "$text" ] || later=
        piece=${text%"$later"}
        text=$later
        while [ -n "$piece" ]; do
            later=${piece#?}
            before=${printable%%"${piece%"$later"}"*}
            check=$(((check * 2039 + ${#before} + 1) % 999983))
            piece=$later
        done
    done
    if [ "$locale" = unset ]; then unset LC_ALL; else LC_ALL=$locale; fi
}

# keep ID FILE TEXT: write a result to the disk.  The dispatcher uses it if the marker was lost.
keep() {
    case ${LAVA_RESULT_DIR:+/$1/} in
        '' | */../*) return ;;
    esac
    kept=$LAVA_RESULT_DIR/results/$1
    { [ -d "$kept" ] || mkdir -p "$kept"; } && printf '%s\n' "$3" >"$kept/$2"
}

# background_folder NAME: print the folder of a process beside the test, within the results' folder.
background_folder() {
    case /$1/ in
        */../*) printf 'background/%s' "$(printf '%s' "$1" | tr . _)" ;;
        *) printf 'background/%s' "$1" ;;
    esac
}

# run_command COMMAND...: run shell code, or a command with its arguments, in the shell of the
# test's steps, which may have more features than this one.
run_command() (
    trap - XFSZ 2>/dev/null
    if [ $# -eq 1 ]; then
        exec "${LAVA_SHELL:-/bin/sh}" -c "$1"
    else
        exec "${LAVA_SHELL:-/bin/sh}" -c '"$@"' "${0##*/}" "$@"
    fi
)

# attach FOLDER FILE [MIME]: copy a file into FOLDER/attachments, under its own path.
attach() {
    [ -n "${LAVA_RESULT_DIR:-}" ] || fail 'works in a test only'
    [ -f "$2" ] || fail "there is no file '$2'"
    # LAVA's limit, in bytes.
    if [ "$(wc -c <"$2")" -gt 26214400 ]; then
        printf '%s: not attached, larger than 25 MiB: %s\n' "${0##*/}" "$2" >&2
        return 0
    fi
    attached=${2#/}
    case /$attached/ in
        */../* | */./*) attached=${2##*/} ;;
    esac
    attached=$1/attachments/$attached
    mkdir -p "${attached%/*}" && cp "$2" "$attached" || fail "cannot copy '$2'"
    [ -z "${3:-}" ] || printf '%s\n' "$3" >"$attached.mimetype"
}
