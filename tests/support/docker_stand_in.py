#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A stand-in for ``docker`` that runs the container's command on this machine.

A mount becomes a link, which needs no rights.  Tests with a real container: ``tests/labs``.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def main(command: str, words: list[str]) -> None:
    """Do a command; all but ``run`` do nothing."""
    if command == "inspect":
        sys.stdout.write("amd64\n")
    if command == "run":
        run(words)


def run(words: list[str]) -> None:
    """Run the command of a container in place of this process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mount", action="append", default=[])
    parser.add_argument("--env", action="append", default=[])
    for flag in ("interactive", "tty", "rm", "init"):
        parser.add_argument(f"--{flag}", action="store_true")
    parser.add_argument("--name")
    parser.add_argument("image")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args(words)
    for mount in given.mount:
        keys = dict(pair.split("=", 1) for pair in mount.split(","))
        Path(keys["destination"]).symlink_to(keys["source"])
    os.environ.update(pair.split("=", 1) for pair in given.env)
    os.execvp(given.command[0], given.command)  # noqa: S606 - as docker does


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
