# SPDX-License-Identifier: MIT
"""A member of a group as a program: it enters one sync after another until it is released no more.

Arguments: host, port, group's size, name, token (may be empty).  Tells each release on stdout.
"""

from __future__ import annotations

import sys

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import PeerFailed
from lava_vmgroup.config.coordinator import Endpoint
from lava_vmgroup.multinode.client import Membership, MultiNodeClient


def main(host: str, port: str, size: str, name: str, token: str) -> None:
    """Say what happens, one line each."""
    endpoint = Endpoint(host=host, port=int(port), token=token or None)
    client = MultiNodeClient(
        endpoint,
        Membership(group_name="group", group_size=int(size), client_name=name, role="tester"),
    )
    deadline = Deadline.after("the test", 120)
    with client.watch(say):
        client.group_data(deadline)
        try:
            while True:
                client.sync("barrier", deadline)
                sys.stdout.write("released\n")
                sys.stdout.flush()
                if sys.stdin.readline() == "":
                    break
        except PeerFailed as error:
            say(error)
        client.clear(deadline)


def say(error: PeerFailed) -> None:
    """Tell why it ended."""
    sys.stdout.write(f"{error.message}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
