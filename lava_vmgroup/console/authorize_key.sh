# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Typed, for FILE FOLDER LINE OURS CLAIM LOOKS: add a line to a file of authorized keys, with a watch
# that removes lines with OURS again if none of so many looks, one a second, finds the file CLAIM.
# One typed line adds the key and starts the watch, so no key is ever there without a watch.  The
# watch outlives the console, and its shell prints nothing about it.
(
    umask 077;
    # shellcheck disable=SC2094 # it is read before it is written to
    mkdir -p "$2" && {
        # If the last line has no end, the key would become a part of it.
        [ -z "$(tail -c 1 "$1" 2>/dev/null)" ] || echo;
        echo "$3";
    } >>"$1"
) && (
    (
        trap "" HUP;
        n=$6;
        while grep -q "$4" "$1" && [ ! -e "$5" ]; do
            sleep 1;
            n=$((n - 1));
            [ "$n" -gt 0 ] || { sed -i "/$4/d" "$1"; [ -s "$1" ] || rm "$1"; };
        done
    ) </dev/null >/dev/null 2>&1 &
)
