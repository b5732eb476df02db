# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Typed, for a number: have the shell frame commands, as framing.py does it, and answer the number.
for o in history histexpand emacs vi; do
    (set +o $o) 2>/dev/null && set +o $o;
done;
unset HISTFILE;
unalias -a;
# Scripts that this shell starts do not inherit its options.
# shellcheck disable=SC3045 # only bash does it
[ -z "$BASH_VERSION" ] || export -n SHELLOPTS BASHOPTS;
# Commands may change IFS and the prompt, so words are quoted and the prompt is set again.
lava_run() {
    lava_n=$1;
    echo "lava-begin $1;";
    return "$2";
};
lava_end() {
    lava_s=$?;
    lava_e=$lava_n;
    echo "lava-end $lava_n $lava_s;";
    lava_prompt;
};
lava_ask() {
    lava_s=$?;
    lava_q=$1;
    lava_prompt;
};
lava_prompt() {
    # shellcheck disable=SC2016 # the prompt expands them
    PS2='' PS1='lava-test $lava_n.$lava_q.$lava_e [rc=$?]# ';
    return "$lava_s";
};
# shellcheck disable=SC2016,SC2034 # framing.py has it evaluated
lava_t='\command eval "$lava_c"; lava_end' lava_n=0 lava_e=0;
lava_ask "$1"
