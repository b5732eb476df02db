# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# The supervisor of a job on its host, for any POSIX shell on Linux.  It ends the job's programs and
# removes the job's files if it is told to, or if the heartbeat of the host's dispatcher stops.
#
#   start FOLDER LIMIT BRIDGE KEYS ROOT
#                                   takes care of dead jobs, then starts the job's supervisor, which
#                                   at the end removes BRIDGE, the job's keys from the file KEYS,
#                                   and ROOT, a folder made for this job, if it is empty
#   beat FOLDER NAME [HEARD]        reads a dispatcher's heartbeats, a line each, and answers; HEARD
#                                   is 1 if earlier heartbeats came over another connection
#   remove FOLDER                   ends a VM
#   end FOLDER                      ends the job
#   watch FOLDER [NAME]             is the supervisor; it renames a new FOLDER to NAME
#
# The folder job-GROUP has a folder for each VM, and in .supervisor:
#   program    this program
#   owner      the supervisor's identity: its process, the start of that, the boot of the host
#   ledger     the limit of missed heartbeats, and further things to remove
#   beat       the last heartbeat of the host's dispatcher
#   records    the records of the host's tests
#   vms/NAME   the last heartbeat of a VM's dispatcher, if that is another one
#   undo/NAME  a command a line that undoes something a VM has made beside files and processes
#   uses       the stored files that the job uses
#   said       the errors of the removal

. idioms.sh
find_all_programs

look_at_boot() {
    { read -r boot </proc/sys/kernel/random/boot_id; } 2>/dev/null || boot=unknown
}

# identity PID: print the number of a process, its start and the boot of the host.  All three are
# needed: numbers come again, and a process of another boot may have the same number and start.
identity() {
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    look_at_boot
    # The program's name, in brackets, may itself have spaces and brackets.
    # shellcheck disable=SC2086 # into words
    set -- "$1" ${stat##*)}
    [ "$2" != Z ] && echo "$1 ${21} $boot"
}

owner_of() {
    owner=
    { read -r owner <"$1/.supervisor/owner"; } 2>/dev/null
    [ -n "$owner" ]
}

is_supervised() {
    owner_of "$1" && [ "$(identity "${owner%% *}")" = "$owner" ]
}

wait_a_little() {
    [ "$tries" -lt 80 ] || return 1
    tries=$((tries + 1))
    sleep 0.1
}

# A process that ends loses its environment first, and becomes a zombie.  It holds its files and
# devices until its last thread is gone.
is_empty_zombie() {
    set -- /proc/"$1"/task/*
    [ $# -eq 1 ] && grep -qs '^State:[[:space:]]*Z' "$1/status"
}

# Set $now, in seconds of a clock that nobody sets.
look_at_clock() {
    read -r now _ </proc/uptime
    now=${now%%.*}
}

# marked FOLDER: print the processes that have the folder in their environment.  The shell drops the
# NULs between the variables, at which busybox's grep would stop.
marked() {
    for process in /proc/[0-9]*; do
        while IFS= read -r variables || [ -n "$variables" ]; do
            case $variables in *"LAVA_VM_MARK=$1/"*) echo "${process#/proc/}" ;; esac
        done <"$process/environ"
    done 2>/dev/null
}

# stop_programs FOLDER LOOKS: end the programs of a folder, after 20 looks or 3 seconds by SIGKILL,
# as a busy host may take a second for each look.  Then wait until the processes have disappeared,
# but for zombies only LOOKS looks.
stop_programs() {
    tries=0 signaled=
    look_at_clock
    patient_until=$((now + 3))
    while found=$(marked "$1"); [ -n "$found" ]; do
        look_at_clock
        signal=TERM
        [ "$tries" -lt 20 ] && [ "$now" -lt "$patient_until" ] || signal=KILL
        for pid in $found; do kill "-$signal" "$pid" 2>/dev/null; done
        signaled="$signaled $found"
        wait_a_little || { echo "processes that do not end: $found" >&2; return 1; }
    done
    looks=0
    for pid in $signaled; do
        while [ -e "/proc/$pid/task" ]; do
            # A zombie disappears when its parent asks for its status, which may take long.
            is_empty_zombie "$pid" && [ $((looks += 1)) -gt "$2" ] && break
            wait_a_little || { echo "a process that does not end: $pid" >&2; return 1; }
        done
    done
}

# undo JOB NAME: run the commands that undo what a VM has made, the last one first, all of them again
# if one fails.
undo() {
    [ -e "$1/.supervisor/undo/$2" ] || return 0
    sed '1!G;h;$!d' "$1/.supervisor/undo/$2" | {
        undone=0
        while IFS= read -r line; do
            in_time 30 sh -c "$line" </dev/null >/dev/null || undone=1
        done
        exit "$undone"
    } && rm "$1/.supervisor/undo/$2"
}

remove_vm() {
    job=${1%/*}
    stop_programs "$1" 3 && undo "$job" "${1##*/}" &&
        remove_files "$1" "$1" "$1.reserved" "${job%/*}"/sha256/*.part-"${job##*/job-}-${1##*/}"
}

# remove_keys GROUP FILE: remove the job's keys; the lock is for other jobs that change the file.
remove_keys() (
    file=$(at_home "$2")
    [ -e "$file" ] || exit 0
    exec 9<"${file%/*}" || exit 1
    lock 9
    ours=" lava-vmgroup-$(echo "$1" | sed 's/[.]/[.]/g')\$"
    grep -q "$ours" "$file" || exit 0
    sed -i "/$ours/d" "$file"
    [ -s "$file" ] || rm "$file"
)

# doubt_store ROOT: the host stopped in the midst of a job, so stored files may be damaged.  Rename
# them, except those of jobs that have started since; the next claim checks a renamed file.
doubt_store() (
    cd "$1" && exec 9<. || exit 1
    lock 9
    used=
    for folder in "$1"/job-*; do
        ! is_supervised "$folder" || used="$used $(cat "$folder/.supervisor/uses" 2>/dev/null)"
    done
    for file in sha256/*; do
        case $file in *.part-* | *.doubtful) continue ;; esac
        case $used in *"${file#*/}"*) continue ;; esac
        [ ! -e "$file" ] || mv "$file" "$file.doubtful"
    done
)

# remove_files FOLDER PATH...: remove paths.  A program of FOLDER may have started after the others
# were stopped, and may add files.  So if the removal fails, stop the programs again and retry.
remove_files() {
    owning=$1 again=0
    shift
    until rm -rf "$@" 2>/dev/null; do
        [ "$again" -lt 3 ] || { rm -rf "$@"; return; }
        again=$((again + 1))
        stop_programs "$owning" 0
        sleep 0.3
    done
}

# Remove the file owner last: adopt finds the rest that a power cut leaves only by this file.
remove_job() {
    group=${1##*/job-} ended=0 root='' keys=~/.ssh/authorized_keys
    look_at_boot
    ! owner_of "$1" || [ "${owner##* }" = "$boot" ] || doubt_store "${1%/*}" || ended=1
    stop_programs "$1" 0 || ended=1
    for file in "$1"/.supervisor/undo/*; do
        undo "$1" "${file##*/}" || ended=1
    done
    while read -r kind value; do
        case $kind in
            bridge) [ ! -e "/sys/class/net/$value" ] || ip link del "$value" ;;
            folder) remove_files "$1" "$value" ;;
            keys) keys=$value ;;
            root) root=$value ;;
        esac || ended=1
    done <"$1/.supervisor/ledger"
    remove_keys "$group" "$keys" || ended=1
    remove_files "$1" "${1:?}"/* "${1%/*}"/sha256/*.part-"$group"-* || ended=1
    [ "$ended" = 1 ] || { rm -rf "${1:?}"/.supervisor/[!o]* && remove_files "$1" "$1"; } || ended=1
    [ -z "$root" ] || rmdir "$root" 2>/dev/null
    sync
    return "$ended"
}

# A heartbeat that does not change for $limit looks has stopped.  Looks are counted, not seconds,
# because a host's clock may jump.
look() {
    heard=
    for file in "$1/.supervisor/beat" "$1"/.supervisor/vms/*; do
        name=${file#"$1/.supervisor/"} beat='' missed=0
        [ "$name" = beat ] || [ -e "$file" ] || continue
        { read -r beat <"$file"; } 2>/dev/null
        for entry in $seen; do
            case $entry in "$name=$beat="*) missed=$((${entry##*=} + 1)) ;; esac
        done
        if [ "$missed" -lt "$limit" ]; then
            heard="$heard $name=$beat=$missed"
        elif [ "$name" = beat ]; then
            told=yes
        else
            remove_vm "$1/${name#vms/}" && rm -f "$file"
        fi
    done
    seen=$heard
}

watch() {
    told='' seen='' limit=30
    trap '' HUP INT
    trap 'told=yes' TERM
    while read -r kind value; do
        [ "$kind" != limit ] || limit=$value
    done <"$1/.supervisor/ledger"
    # An adopted job, without NAME, is watched even if the disk is too full for the file owner: the
    # removal of a dead job makes room.
    { identity $$ >"$1/.supervisor/owner.new" &&
        mv "$1/.supervisor/owner.new" "$1/.supervisor/owner"; } || [ -z "$2" ] || exit 1
    [ -z "$2" ] || { mv "$1" "$2" && shift; } || exit 1
    while [ -z "$told" ] && [ -d "$1/.supervisor" ]; do
        sleep 1 &
        nap=$!
        wait "$nap" || kill "$nap"
        look "$1"
    done
    [ ! -d "$1/.supervisor" ] || remove_job "$1" 2>"$1/.supervisor/said"
}

# The supervisor must outlive the connection that starts it.
launch() {
    become sh "$1/.supervisor/program" watch "$@" </dev/null >/dev/null 2>&1 &
}

# adopt ROOT: take care of jobs without a supervisor.  If a job is of this boot of the host, perhaps
# only its supervisor has died.  So it gets a new one, which ends it if no heartbeat comes.
adopt() {
    for owner_file in "$1"/job-*/.supervisor/owner; do
        folder=${owner_file%/.supervisor/owner}
        [ -e "$owner_file" ] && ! is_supervised "$folder" || continue
        look_at_boot
        if [ "${owner##* }" = "$boot" ] && [ -e "$folder/.supervisor/program" ]; then
            launch "$folder" && echo "adopted ${folder##*/}"
        else
            remove_job "$folder" && echo "removed ${folder##*/}"
        fi
    done
}

start() {
    end "$1" || { rm -f "$0" && return 1; }
    adopt "${1%/*}"
    new=${1%/*}/.${1##*/}
    rm -rf "$new" && mkdir -p "$new/.supervisor/vms" "$new/.supervisor/undo" || return 1
    {
        echo "limit $2"
        [ -z "$3" ] || echo "bridge $3"
        [ -z "$4" ] || echo "keys $4"
        [ -z "$5" ] || echo "root $5"
    } >"$new/.supervisor/ledger"
    # Create these files now: at the end of the job, the disk may be full.
    : >"$new/.supervisor/beat" && : >"$new/.supervisor/records" && : >"$new/.supervisor/said"
    mv "$0" "$new/.supervisor/program" && launch "$new" "$1" || return 1
    tries=0
    until is_supervised "$1"; do
        wait_a_little || { echo "the supervisor does not start" >&2; return 1; }
    done
}

end() {
    [ -d "$1/.supervisor" ] || return 0
    if is_supervised "$1"; then
        supervisor=$owner
        kill -TERM "${owner%% *}"
        while [ "$(identity "${supervisor%% *}")" = "$supervisor" ]; do sleep 0.05; done
    else
        remove_job "$1"
    fi
    [ ! -d "$1/.supervisor" ] || { cat "$1/.supervisor/said" >&2; return 1; }
}

beat() {
    file=$1/.supervisor/$2 count=${3:-0}
    while read -r said; do
        case $said in
            beat)
                # If the supervisor has removed the file, it has given this node up for good.
                if [ "$2" = beat ] || [ "$count" -gt 0 ]; then [ -e "$file" ]; fi &&
                    { echo "$$.$count" >"$file"; } 2>/dev/null && echo alive || echo ended
                count=$((count + 1))
                ;;
            bye) rm -f "$file" && echo bye ;;
        esac
    done
}

command=$1
shift
case $command in
    start | beat | end | watch) "$command" "$@" ;;
    remove) remove_vm "$1" ;;
esac
