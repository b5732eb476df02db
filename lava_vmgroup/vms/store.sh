# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# The image store of a host, for any POSIX shell on Linux: files named by their SHA-256.
#
#   sh -c PROGRAM ROOT claim DIGEST JOB        notes that a job uses a file, which then stays until
#                                              the job ends; prints "stored SIZE", "damaged" or
#                                              "absent"
#   sh -c PROGRAM ROOT room KIB LIMIT          removes files until KIB fit; prints three sizes in
#                                              KiB: free on the disk, used, allowed
#   sh -c PROGRAM ROOT spare                   prints the KiB of files that no running job uses
#   sh -c PROGRAM ROOT keep PART DIGEST        gives a complete upload its name
#
# A claim sets the file's time, and room removes the least recently used files first.  LIMIT is in
# KiB, 0 for three quarters of the disk.  ROOT/job-JOB/.supervisor/uses names the files that a job
# uses.  After a power cut, a supervisor renames files to DIGEST.doubtful, and the next claim checks
# them.

. idioms.sh

root=$0 command=$1 endless=2000000000
shift
[ "$command" != claim ] || mkdir -p "$root/sha256" || exit 1
cd "$root/sha256" 2>/dev/null || { [ "$command" = spare ] && echo 0 && exit; } || exit 1
exec 8<"$root"

# No process removes a claimed file, so the check of a large file needs no lock.
claim() {
    lock 8
    [ ! -d "$root/job-$2/.supervisor" ] || echo "$1" >>"$root/job-$2/.supervisor/uses"
    lock -u 8
    if [ ! -e "$1" ] && [ -e "$1.doubtful" ]; then
        sum=$(sha256sum <"$1.doubtful")
        if [ "${sum%% *}" = "$1" ]; then
            mv "$1.doubtful" "$1" 2>/dev/null
        else
            rm -f "$1.doubtful"
            [ -e "$1" ] || { echo damaged && return; }
        fi
    fi
    [ -e "$1" ] || { echo absent && return; }
    touch -c "$1"
    # shellcheck disable=SC2046 # into words
    set -- $(ls -lnL "$1")
    echo "stored $5"
}

kib_of() {
    # shellcheck disable=SC2046 # into words
    set -- $(du -sk "$1")
    echo "$1"
}

# Set $total and $free, in KiB.  A file system in memory may report no size; then both are endless.
look_at_disk() {
    # shellcheck disable=SC2046 # into words
    set -- $(df -Pk . | tail -n 1)
    case $2-$4 in
        0-* | *[!0-9-]* | -* | *-) total=$endless free=$endless ;;
        *) total=$2 free=$4 ;;
    esac
}

# Print the names of files that no job uses and no process has locked, least recently used first.
unused() {
    uses=$(cat "$root"/job-*/.supervisor/uses 2>/dev/null)
    # shellcheck disable=SC2045 # the names are digests, and only ls sorts by time
    for name in $(ls -tr); do
        case $name in *.part-*) continue ;; esac
        case $uses in *"${name%.doubtful}"*) continue ;; esac
        lock -n "$name" true || continue
        echo "$name"
    done
}

# look_at_store KIB LIMIT: set $free, $used and $limit, in KiB; succeed if KIB fit.
look_at_store() {
    look_at_disk
    used=$(kib_of .) limit=$2
    [ "$limit" -gt 0 ] || limit=$((total * 3 / 4))
    [ "$1" -le "$free" ] && [ $((used + $1)) -le "$limit" ]
}

room() {
    lock 8
    look_at_store "$@" || for name in $(unused); do
        rm -f "$name"
        ! look_at_store "$@" || break
    done
    echo "$free $used $limit"
}

spare() {
    sum=0
    for name in $(unused); do sum=$((sum + $(kib_of "$name"))); done
    echo "$sum"
}

# Without sync, the file may read as zeros after a power cut.  If an earlier call's connection broke
# off before the answer, that call may have moved the file already.
keep() {
    [ -e "$1" ] || [ ! -e "$2" ] || return 0
    sync "$1" || return 1
    lock 8
    mv -f "$1" "$2" && rm -f "$2.doubtful"
}

case $command in
    claim | room | spare | keep) "$command" "$@" ;;
esac
