# SPDX-License-Identifier: MIT
# Sourced by lava-multi-node.sh: helpers that run at the same time take turns at the console.
#
# 1. The helper that holds the turn reads the console.  It puts a line that belongs to another helper
#    into that one's letter box.
# 2. The others look into their letter boxes, and take the turn when it is free.
# 3. A line belongs to the record whose place it has: <PLACE<LAVA_..., or, for a part, <LAVA_..._PART
#    and the place with "_" for ".".
# shellcheck shell=sh

# shellcheck disable=SC2154 # lava-multi-node.sh sets it
turns=$bin/../turns
has_turn=no
letters=0

# next_line: set $line to the next line for this helper.  Fails at the end of input.
next_line() {
    while :; do
        if [ "$has_turn" = yes ] || [ -z "$place" ]; then
            # If the terminal cannot be read, bash leaves the variable as it was.
            line=
            IFS= read -r line || [ -n "$line" ] || return
            find_owner
            [ -n "$owner" ] && [ "$owner" != "$place" ] || return 0
            printf '%s\n' "$line" >>"$turns/$owner"
        elif read_letter; then
            return
        elif ! take_turn; then
            sleep 0.2 2>/dev/null || sleep 1
        elif read_letter; then # it came just before the turn
            return
        fi
    done
}

# find_owner: set $owner to the place that a line belongs to; "" for none, or outside of a test.
find_owner() {
    owner=
    [ -n "$place" ] || return
    case $line in
        *'<'[0-9]*.[0-9]*'<LAVA_'*)
            owner=${line%%'<LAVA_'*}
            owner=${owner##*'<'}
            ;;
        *'<LAVA_'*'_PART '[0-9]*_[0-9]*' '*)
            owner=${line#*'_PART '}
            owner=${owner%% *}
            owner=${owner%_*}.${owner#*_}
            ;;
    esac
    case $owner in
        *[!0-9.]*) owner= ;;
    esac
}

# read_letter: set $line to the next line in this helper's letter box; fails if there is none.
read_letter() {
    [ -s "$turns/$place" ] || return
    line=$(sed -n "$((letters + 1))p" "$turns/$place")
    [ -n "$line" ] || return
    letters=$((letters + 1))
}

# take_turn: fails while another helper holds the turn.  Where no link can be made, all read.
take_turn() {
    mkdir -p "$turns" 2>/dev/null
    if [ -L "$turns/$$" ] || ln -s turn "$turns/$$" 2>/dev/null; then
        if ! ln -s "$$" "$turns/turn" 2>/dev/null; then
            free_turn
            return 1
        fi
    fi
    has_turn=yes
}

# free_turn: end the turn of a helper that was killed.  Only one of those who see that can remove the
# link with the holder's number, and only it may: for another, the turn may be a later one by then.
free_turn() {
    holder=$(readlink "$turns/turn" 2>/dev/null)
    [ -n "$holder" ] && ! kill -0 "$holder" 2>/dev/null || return
    rm "$turns/$holder" 2>/dev/null || return
    [ "$(readlink "$turns/turn")" != "$holder" ] || rm -f "$turns/turn"
}

# leave_turn: let another helper read the console.
leave_turn() {
    [ "$has_turn" = no ] || rm -f "$turns/turn"
    has_turn=no
    [ -z "$place" ] || rm -f "$turns/$$" "$turns/$place"
}
