#!/bin/bash
# SPDX-License-Identifier: MIT
# start.sh image|lab BUILT STATE PRODUCT: in the Debian that build.sh has made, as root,
#
# image   build the image of docker tests
# lab     run a LAVA server, its worker and a board, on the loopback of a network of their own
#
# BUILT is the folder of build.sh.  STATE keeps the database and logs; STATE/ready appears when a job
# can be submitted to port 8000.  PRODUCT is a folder with the product's wheels, its Containerfile and
# its examples.  Mounts and processes end with this process: SIGTERM ends all of it.
set -euo pipefail
what=$1
root=$(realpath "$2/root") base=$(realpath "$2/base.tar") state=$(realpath "$3") product=$(realpath "$4")
here=$(dirname "$(realpath "$0")")
images=$(realpath "$product/examples/emulated-board/images")

if [ "${LAVA_LAB_INSIDE:-}" != 1 ]; then
    rm -f "$state/ready"
    echo $$ >"$state/pid"
    own=(--mount --pid)
    [ "$what" = image ] || own+=(--net)
    # unshare itself ignores SIGTERM while it has a child: so stay, and end the first process inside.
    LAVA_LAB_INSIDE=1 unshare "${own[@]}" --fork --kill-child=SIGKILL "$0" "$@" &
    trap 'kill -KILL $! 2>/dev/null || true; wait; rm -f "$state/ready"' EXIT
    trap 'exit 143' TERM INT
    wait $!
    exit
fi

if [ "$what" = lab ]; then
    ip link set lo up
    # Without an address beside 127.0.0.1, the resolver of ser2net finds none at all.
    ip address add 192.0.2.1/32 dev lo
fi
mount --make-rprivate /
# Containers need / to be a mount point.
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup" || true
mount -t tmpfs tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
while read -r name major minor; do
    mknod -m 666 "$root/dev/$name" c "$major" "$minor"
done <<END
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
END
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t tmpfs tmpfs "$root/run"
mkdir -p "$root/run/postgresql" "$root/run/lock"
chmod 1777 "$root/run/lock"
mkdir -p "$state/results"
for pair in "$state:/lab" "$state/results:/srv/results" "$product:/srv/product" "$images:/srv/images" "$here:/srv/lab"; do
    mkdir -p "$root${pair#*:}"
    mount --bind "${pair%%:*}" "$root${pair#*:}"
done
touch "$root/srv/base.tar"
mount --bind "$base" "$root/srv/base.tar"
cp /etc/resolv.conf "$root/etc/"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
exec chroot "$root" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/root LANG=C.UTF-8 "/srv/lab/$what.sh"
