# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Typed: print what is wrong with the SSH server's set-up; fail if there is no server.
(
    PATH=$PATH:/usr/sbin:/sbin;
    if command -v sshd; then
        sshd -t </dev/null;
        true;
    else
        command -v dropbear;
    fi
)
