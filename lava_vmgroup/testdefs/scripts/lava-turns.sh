# SPDX-License-Identifier: MIT
# Sourced by lava-multi-node.sh: helpers that run at the same time take turns at the console.
#
# 1. The helper that holds the turn reads the console.  It puts a line that belongs to another helper
#    into that one's letter box.
# 2. The others look into their letter boxes, and take the turn when it is free, or when its holder
#    has ended or is stopped.
# 3. A line belongs to the record whose place it has: <PLACE<LAVA_..., or, for a part, <LAVA_..._PART
#    and the place with "_" for ".".
# 4. The turn is a second name of its holder's own file, which says who that is.
# shellcheck shell=sh

# shellcheck disable=SC2154 # lava-multi-node.sh sets it
turns=$bin/../turns
# "yes", "no", or "shared": where no turn can be kept, all read.
has_turn=no
letters=0
orphan=
rounds=0

# next_line: set $line to the next line for this helper.  Fails at the end of input.
next_line() {
    while :; do
        if [ -n "$place" ] && read_letter; then
            return
        elif [ -z "$place" ] || [ "$has_turn" != no ]; then
            # If the terminal cannot be read, bash leaves the variable as it was.
            line=
            IFS= read -r line || [ -n "$line" ] || return
            find_owner
            [ -n "$owner" ] && [ "$owner" != "$place" ] || return 0
            # The owner may be another user.
            (umask 0 && printf '%s\n' "$line" >>"$turns/$owner")
        elif ! take_turn; then
            sleep 0.2 2>/dev/null || sleep 1
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

# take_turn: fails while another helper holds the turn.
take_turn() {
    if ! write_own_file; then
        has_turn=shared
    elif ln "$own" "$turns/turn" 2>/dev/null; then
        has_turn=yes
    elif [ -e "$turns/turn" ]; then
        free_turn
        return 1
    elif ln "$own" "$own.link" 2>/dev/null; then
        rm -f "$own.link"
        return 1
    else
        has_turn=shared
    fi
}

# write_own_file: write who this helper is into $own, if that is not done.
write_own_file() {
    own=$turns/$place.own
    [ ! -s "$own" ] || return 0
    [ -d "$turns" ] || mkdir -m 777 "$turns" 2>/dev/null
    born=
    look_at $$
    boot=
    { read -r boot </proc/sys/kernel/random/boot_id; } 2>/dev/null
    identity="$place $$ ${born:--} ${boot:--}"
    { printf '%s\n' "$identity" >"$own"; } 2>/dev/null && [ -s "$own" ]
}

# free_turn: end the turn of a helper that cannot leave it.  Of those who see that, only one can
# remove the holder's own file, and only it may: for another, the turn may be a later one by then.
# If it is killed between the two, the turn is an orphan, which ends after some rounds.
free_turn() {
    holder=
    { read -r holder <"$turns/turn"; } 2>/dev/null
    # shellcheck disable=SC2086 # they are words without blanks
    [ -n "$holder" ] && ! works $holder || return
    if ! rm "$turns/${holder%% *}.own" 2>/dev/null; then
        [ "$orphan" = "$holder" ] || rounds=0
        orphan=$holder
        rounds=$((rounds + 1))
        [ "$rounds" -gt 20 ] || return
    fi
    is_turn_of "$holder" && rm -f "$turns/turn"
}

# is_turn_of HOLDER: succeed if the turn still is that of HOLDER, a line as in its own file.
is_turn_of() {
    present=
    { read -r present <"$turns/turn"; } 2>/dev/null
    [ "$present" = "$1" ]
}

# works PLACE PID BORN BOOT: succeed if a helper runs.  Without /proc, one that was killed and one
# that is stopped look as if they did.
works() {
    if [ ! -r "/proc/$$/stat" ]; then
        kill -0 "$2" 2>/dev/null
        return
    fi
    boot=-
    { read -r boot </proc/sys/kernel/random/boot_id; } 2>/dev/null
    look_at "$2" && [ "$born $boot" = "$3 $4" ] || return
    case $state in
        [TtX]) return 1 ;;
    esac
}

# look_at PID: set $program, $state, $parent and $born; fails if the process has ended.
# shellcheck disable=SC2034 # lava-blocked.sh uses them, too
look_at() {
    { read -r facts <"/proc/$1/stat"; } 2>/dev/null || return
    program=${facts#*\(}
    program=${program%)*}
    set -f
    # shellcheck disable=SC2086
    set -- ${facts##*) }
    set +f
    state=$1
    parent=$2
    born=${20}
    [ "$state" != Z ]
}

# leave_turn: let another helper read the console.
leave_turn() {
    if [ "$has_turn" = yes ]; then
        is_turn_of "$identity" && rm -f "$turns/turn"
    fi
    has_turn=no
    letters=0
    [ -z "$place" ] || rm -f "$turns/$place.own" "$turns/$place"
}
