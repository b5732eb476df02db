# SPDX-License-Identifier: MIT
# shellcheck shell=sh
. idioms.sh
find_all_programs
ip -4 route
