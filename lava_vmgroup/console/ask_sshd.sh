# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Typed, for a connection in sshd's words and dropbear's file of keys: print the settings of the SSH
# server for logins by key.  Match blocks in sshd_config may apply to this user or to the dispatcher
# only.  OpenWrt's own server, dropbear, has one fixed file.
(
    PATH=$PATH:/usr/sbin:/sbin;
    sshd -T -C "$1" </dev/null 2>/dev/null |
        grep -E '^(authorizedkeysfile|permitrootlogin|pubkeyauthentication) ';
    [ ! -e /etc/openwrt_release ] || command -v sshd || echo authorizedkeysfile "$2"
)
