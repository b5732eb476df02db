# SPDX-License-Identifier: MIT
# Sourced by the helpers: words for markers, and results kept on disk.
# shellcheck shell=sh

# fail MESSAGE...: end the helper.
fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# check_word WHAT WORD: the wire splits at blanks, ends at ">", and holds one line.
check_word() {
    case $2 in
        '') fail "$1 is empty" ;;
        *[[:space:]]* | *[[:cntrl:]]* | *[\<\>]*) fail "$1 '$2' has a blank, a control character, '<' or '>'" ;;
    esac
}

# check_id WHAT WORD: a word that names a folder too.
check_id() {
    check_word "$1" "$2"
    case /$2/ in
        */../*) fail "$1 '$2' has a '..'" ;;
    esac
}

# signal NAME WORDS...: the name is printed apart, so a trace of this line is no marker itself.
signal() {
    name=$1
    shift
    printf '<LAVA_SIGNAL_%s%s>\n' "$name" "${*:+ $*}"
}

# keep ID FILE TEXT: a result on disk; the markers are what the dispatcher reads first.
keep() {
    if [ -n "${LAVA_RESULT_DIR:-}" ]; then
        kept=$LAVA_RESULT_DIR/results/$1
        { [ -d "$kept" ] || mkdir -p "$kept"; } && printf '%s\n' "$3" >"$kept/$2"
    fi
}

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
