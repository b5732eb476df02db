#!/bin/sh
# SPDX-License-Identifier: MIT
# build.sh FOLDER SUITE: build what the LAVA lab runs on, as root, unless it is there
# or is of another version of this file:
#
# FOLDER/root       a Debian of SUITE with LAVA's server and worker, a database, podman, a console
#                   server and a power switch; no service of it is started, and the system's stay
# FOLDER/base.tar   a small Debian, the base of the image for docker tests
set -eu
folder=$1 suite=$2
recipe=$(sha256sum <"$0")
[ "$recipe" != "$(cat "$folder/recipe" 2>/dev/null)" ] || exit 0
mkdir -p "$folder"
rm -rf "$folder/root" "$folder/base.tar" "$folder/recipe"

# apt-get replaces the names in the format.
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Origin: Debian' 'Component: main' | head -n 1)
signed='signed-by=/usr/share/keyrings/debian-archive-keyring.gpg'

debian() {
    # A mirror may be a snapshot, whose signed list is past its date.
    mmdebstrap --quiet --mode=root --skip=check/empty --aptopt='Apt::Install-Recommends "false"' \
        --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Languages "none"' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' "$@"
}

echo "Building a Debian $suite with LAVA in $folder"
# shellcheck disable=SC2016
debian --variant=apt \
    --essential-hook='printf "#!/bin/sh\nexit 101\n" >"$1/usr/sbin/policy-rc.d"; chmod 755 "$1/usr/sbin/policy-rc.d"' \
    --include=lava-server,lava-dispatcher,lava-coordinator,lavacli,postgresql,podman,crun,catatonit,ser2net,pdudaemon \
    --include=curl,git,telnet,procps,iproute2,ca-certificates,qemu-system-arm,u-boot-qemu \
    "$suite" "$folder/root" "deb [$signed] $mirror $suite main"
debian --variant=minbase --include=ca-certificates bookworm "$folder/base.tar" "deb [$signed] $mirror bookworm main"
echo "$recipe" >"$folder/recipe"
