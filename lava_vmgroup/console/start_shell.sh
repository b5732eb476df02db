# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Typed within single quotes, with a number behind them, into shells of all kinds: no single quote,
# exclamation mark or backslash may be in it.  It becomes a plain shell.
# Without an echo, a typed command does not come back as output.  Busybox edits lines by itself, and
# asks the terminal for its cursor, but not on a terminal with canonical input and no echo.
stty sane -echo 2>/dev/null;
# A bash that is called sh has accepted exported functions, and the options in SHELLOPTS.
set +euvx;
unset -f command echo;
unset TMOUT ENV BASH_ENV PS0 PROMPT_COMMAND HISTFILE MAIL MAILPATH MAILCHECK;
unset GREP_OPTIONS GREP_COLOR CLICOLOR_FORCE FORCE_COLOR;
TERM=dumb NO_COLOR=1;
export TERM NO_COLOR;
echo lava-"shell" "$0";
command -v bash >/dev/null && exec bash --norc --noprofile --noediting -p -i;
exec sh -i
