# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# sh -c PROGRAM OWNER: succeed if the host has not been restarted since the supervisor's OWNER file.
read -r owner <"$0" && read -r boot </proc/sys/kernel/random/boot_id &&
    [ "${owner##* }" = "$boot" ]
