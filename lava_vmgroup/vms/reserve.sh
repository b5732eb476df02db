# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# sh -c PROGRAM FOLDER VM MIB TOTAL CPUS...: reserve memory for a VM of the job in FOLDER, and those
# of the CPUS that the fewest other VMs have.  Print "reserved CPUS".  If the job's VMs together
# want more than TOTAL, print "full" and the MiB of the others.
# The reservation is a file beside the VM's folder; the lock is on the job's FOLDER.
. idioms.sh
cd "$0" || exit 1
vm=$1 mib=$2 total=$3
shift 3
exec 9<.
lock 9
reserved=0 used=
for file in *.reserved; do
    if [ "$file" = "$vm.reserved" ] || [ ! -e "$file" ]; then continue; fi
    read -r memory cpus <"$file" || continue
    reserved=$((reserved + memory))
    used="$used $cpus"
done
if [ $((reserved + mib)) -gt "$total" ]; then
    echo "full $reserved"
    exit
fi
best='' fewest=''
for choice in "$@"; do
    users=0
    for cpus in $used; do
        [ "$cpus" != "$choice" ] || users=$((users + 1))
    done
    if [ -z "$fewest" ] || [ "$users" -lt "$fewest" ]; then best=$choice fewest=$users; fi
done
echo "$mib $best" >"$vm.reserved" && echo "reserved $best"
