# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Become the host's server for files, which may be installed without being configured.  The folders
# are those of Debian, Fedora, openSUSE and Arch and Alpine, Buildroot and OpenWrt, Gentoo, NixOS.
for folder in /usr/lib/openssh /usr/libexec/openssh /usr/lib/ssh /usr/libexec /usr/lib/misc \
    /usr/lib64/misc /run/current-system/sw/libexec; do
    [ ! -x "$folder/sftp-server" ] || exec "$folder/sftp-server"
done
exit 127
