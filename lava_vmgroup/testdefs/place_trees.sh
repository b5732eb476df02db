# SPDX-License-Identifier: MIT
# The functions of the program that makes the directories of tests whose trees travelled apart.  It
# runs in the directory of the overlay; the trees are below "trees".
# shellcheck shell=sh
set -e

# place HOW TREE DIRECTORY: put a tree there.  The "last" test of a tree gets the tree itself if
# nothing is there yet, the others get copies.  With "/.", cp copies the tree's content.
place() {
    mkdir -p "$3"
    if [ "$1" = last ] && rmdir "$3" 2>/dev/null; then
        mv "trees/$2" "$3"
    else
        cp -a "trees/$2/." "$3"
    fi
}

# own TEST NAME...: put the test's generated files over those of the same NAMEs in its trees.
own() {
    test=$1
    shift
    for name; do
        rm -rf "tests/$test/$name"
    done
    mkdir -p "tests/$test"
    mv "trees/$test"/* "tests/$test"
}
