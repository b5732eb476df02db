#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds the image of docker tests; see start.sh.
set -euo pipefail
mkdir -p /etc/containers
cp /srv/lab/containers.conf /etc/containers/
base=docker.io/library/debian:bookworm-slim
podman image exists "$base" || podman import - "$base" </srv/base.tar
podman build --isolation chroot --network host --tag localhost/lava-vmgroup:latest /srv/product
podman image prune --force
