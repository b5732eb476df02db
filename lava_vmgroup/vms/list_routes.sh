# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# sh -c PROGRAM: print the host's IPv4 routes.
. idioms.sh
find_all_programs
ip -4 route
