# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# The image store of a host, for any POSIX shell on Linux: files named by their SHA-256.
#
#   sh -c PROGRAM ROOT claim DIGEST JOB        has a file for a job: says "stored SIZE", "damaged"
#                                              or "absent"; it stays while the job is there
#   sh -c PROGRAM ROOT room KIB LIMIT          removes files until KIB fit: prints the KiB that are
#                                              free, are used, and may be used
#   sh -c PROGRAM ROOT spare                   prints the KiB that no running job uses
#   sh -c PROGRAM ROOT keep PART DIGEST        gives an upload that is whole its name
#
# The least recently used files go first; a use sets a file's time.  LIMIT is in KiB, 0 for three
# quarters of the disk.  ROOT/job-JOB/.supervisor/uses names the files that a job uses.  After a
# power cut the supervisor calls them all DIGEST.doubtful.

. idioms.sh

root=$0 command=$1 endless=2000000000
shift
[ "$command" != claim ] || mkdir -p "$root/sha256" || exit 1
cd "$root/sha256" 2>/dev/null || { [ "$command" = spare ] && echo 0 && exit; } || exit 1
exec 8<"$root"

# No process removes a claimed file, so the lock is not held while a large file is read.
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

# Sets $total and $free, in KiB.  A file system in memory may have no size; then nothing is in the way.
look_at_disk() {
    # shellcheck disable=SC2046 # into words
    set -- $(df -Pk . | tail -n 1)
    case $2-$4 in
        0-* | *[!0-9-]* | -* | *-) total=$endless free=$endless ;;
        *) total=$2 free=$4 ;;
    esac
}

# The names of files that no job uses and nobody has locked, the least recently used first.
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

# look_at_store KIB LIMIT: succeeds if KIB fit.
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

# A file that was not flushed may read as zeros after a power cut, so sync it.  An earlier call may
# have moved the file already, if its connection broke off before the answer.
keep() {
    [ -e "$1" ] || [ ! -e "$2" ] || return 0
    sync "$1" || return 1
    lock 8
    mv -f "$1" "$2" && rm -f "$2.doubtful"
}

case $command in
    claim | room | spare | keep) "$command" "$@" ;;
esac
