# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# sh -c PROGRAM FOLDER WORDS_OF_KVM QUESTIONS...: print the host's facts, one a line: a key and
# a value.  FOLDER is the folder for VMs' files, WORDS_OF_KVM a pattern for lines of the kernel's
# log.  A question is version:PROGRAM, qemu:PROGRAM, or module:, device:, file: or command:NAME.
. idioms.sh
folder=$0 words_of_kvm=$1
shift
machine=$(uname -m)
echo "machine $machine"
while read -r key value _; do
    case $key in
        MemTotal:) echo "memory $value" ;;
        MemAvailable:) echo "available $value" ;;
    esac
done </proc/meminfo
echo "cpus $(grep -c '^processor' /proc/cpuinfo)"
for flag in vmx svm; do grep -qw "$flag" /proc/cpuinfo && echo "flag $flag"; done
if [ -c /dev/kvm ]; then
    echo kvm-exists
    ( : <>/dev/kvm ) 2>/dev/null && echo kvm
fi
# The kernel's log is a ring buffer: when it has overwritten the lines of the boot, only the journal
# has them.  On x86 the kernel logs only failures of KVM, so with /dev/kvm no line is missing.
select_words() { grep -E "$words_of_kvm" | head -n 40; }
log=$(dmesg 2>/dev/null) && echo log-opens
log=$(printf '%s\n' "$log" | select_words)
if [ -z "$log" ] && ! { [ "$machine" = x86_64 ] && [ -c /dev/kvm ]; }; then
    log=$(journalctl -k -b -q --no-pager -o cat 2>/dev/null | select_words)
fi
[ -z "$log" ] || printf '%s\n' "$log" | sed 's/^/log /'
sed -n 's/.*\(GICv[0-9]\).*/gic \1/p; s/.* GIC\(-[0-9]*\)\{0,1\} .*/gic GICv2/p' /proc/interrupts 2>/dev/null |
    head -n 1
# If the folder does not exist yet, the nearest folder above it is on the same file system.
while [ ! -d "$folder" ]; do
    case $folder in */*) folder=${folder%/*} ;; *) folder= ;; esac
    [ -n "$folder" ] || folder=/
done
# shellcheck disable=SC2030 # words that nobody reads
df -Pk "$folder" 2>/dev/null | while read -r _ _ _ free _; do echo "free $free"; done
has_module() {
    [ ! -d "/sys/module/$1" ] || return 0
    pattern=
    IFS=_
    # shellcheck disable=SC2031 # ${pattern:+[-_]} is no variable _
    for part in $1; do pattern="$pattern${pattern:+[-_]}$part"; done
    unset IFS
    grep -qs "/$pattern\.ko" "/lib/modules/$(uname -r)/modules.builtin" && return
    modprobe -D "$1" 2>/dev/null | tail -n 1 | grep -Eq '^(insmod|builtin) '
}
has() {
    case $1 in
        module:*) has_module "${1#*:}" ;;
        device:*) [ -c "${1#*:}" ] || [ -b "${1#*:}" ] ;;
        file:*) [ -e "${1#*:}" ] ;;
        *) command -v "${1#*:}" >/dev/null ;;
    esac
}
# VMs are launched with the user's own PATH, so QEMU must be found there.
qemu_path=$PATH
find_all_programs
for word in "$@"; do
    case $word in
        version:*)
            said=$(PATH=$qemu_path "${word#*:}" --version </dev/null 2>/dev/null | head -n 1)
            echo "version ${word#*:}=$said"
            ;;
        qemu:*) ( PATH=$qemu_path && has "$word" ) && echo "has $word" ;;
        *) has "$word" && echo "has $word" ;;
    esac
done
true
