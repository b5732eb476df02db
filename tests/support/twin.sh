#!/bin/sh
# SPDX-License-Identifier: MIT
# twin.sh FOLDER ROOT: be the first process of a twin of this machine, whose root is to be at ROOT.
# The twin sees this machine's files, and keeps what it writes to itself, but for FOLDER.
# unshare(1) runs this in namespaces of its own.
set -eu
folder=$1 root=$2

mount -t tmpfs twin "$root"
mkdir "$root/upper" "$root/work" "$root/merged"
mount -t overlay twin -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" "$root/merged"
root=$root/merged
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mkdir -p "$root$folder"
mount --rbind "$folder" "$root$folder"
ip link set lo up
echo ready
# A shell that waits takes leave of each orphan that ends.
exec chroot "$root" sh -c 'sleep infinity & wait'
