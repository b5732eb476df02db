#!/bin/sh
# SPDX-License-Identifier: MIT
# product.sh FOLDER PYTHON: put together what a lab gets of the product: its wheels, made by the pip
# of PYTHON, its Containerfile and its examples.
set -eu
here=$(dirname "$(realpath "$0")")/../..
mkdir -p "$1"
rm -rf "$1/wheels" "$1/examples"
cp "$here/Containerfile" "$1"
cp -r "$here/examples" "$1/examples"
"$2" -m pip wheel -q --disable-pip-version-check --wheel-dir "$1/wheels" "$here"
