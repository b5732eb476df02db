#!/bin/sh
# SPDX-License-Identifier: MIT
# unpack_debian.sh FOLDER SUITE PACKAGE...: unpack the newest packages of a Debian suite into
# FOLDER/SUITE, unless that is there.  Nothing is installed, and the system's package lists stay.
set -eu
folder=$1 suite=$2
shift 2
[ ! -d "$folder/$suite" ] || exit 0
mkdir -p "$folder"
work=$(mktemp -d -p "$folder")
trap 'rm -rf "$work"' EXIT
cd "$work"

# This machine's own mirror; apt-get replaces the names in the format.
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Origin: Debian' 'Component: main' | head -n 1)
mkdir -p lists/partial cache/archives/partial parts unpacked
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >sources.list
get() {
    apt-get -q -o APT::Sandbox::User=root -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" \
        -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts="$work/parts" \
        -o Acquire::Languages=none -o Acquire::Retries=3 "$@" >/dev/null
}

echo "Unpacking $* of Debian's $suite into $folder/$suite"
if ! { get update && get download "$@"; }; then
    echo "$* of Debian's $suite could not be downloaded from $mirror" >&2
    exit 1
fi
for package in ./*.deb; do
    dpkg-deb -x "$package" unpacked
done
mv -T unpacked "$folder/$suite"
