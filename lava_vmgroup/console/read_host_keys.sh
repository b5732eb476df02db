# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Typed: print the public halves of the SSH server's keys.  sshd's configuration names OpenSSH's
# keys.  Only sshd -T reads it completely, but it fails if the system is not ready for it.  Dropbear
# keeps no public halves, so they are computed.
(
    PATH=$PATH:/usr/sbin:/sbin;
    exec 2>/dev/null </dev/null;
    for f in $({ sshd -T; cat /etc/ssh/sshd_config* /etc/ssh/sshd_config.d/* /usr/etc/ssh/sshd_config*; } |
        sed -n 's/^[[:space:]]*[Hh][Oo][Ss][Tt][Kk][Ee][Yy][[:space:]=][[:space:]=]*//p') /etc/ssh/ssh_host_*_key; do
        cat "$f.pub" || ssh-keygen -y -P '' -f "$f";
    done;
    for f in /etc/dropbear/*_key /var/lib/dropbear/*_key /run/dropbear/*_key; do
        dropbearkey -y -f "$f";
    done
)
