# SPDX-License-Identifier: MIT
"""A member that holds its presence, before a coordinator that the test plays."""

from __future__ import annotations

import queue
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from lava_vmgroup.base.errors import PeerFailed
from lava_vmgroup.multinode.frames import encode_frame
from tests.integration.multinode.played import serve, take

if TYPE_CHECKING:
    from tests.integration.multinode.conftest import MakeClient


ENDED = encode_frame({"response": "nack", "failed": {"host": "no boot"}})


def never(error: PeerFailed) -> None:
    pytest.fail(f"called without a reason: {error}")


def presence_ends(name: str) -> None:
    """Wait until the thread that holds a presence has given up."""
    for thread in threading.enumerate():
        if thread.name == f"{name}-presence":
            thread.join(60)
            assert not thread.is_alive()


def test_a_presence_lasts_as_long_as_its_block(
    make_client: MakeClient, listener: socket.socket
) -> None:
    with make_client("one", address=listener.getsockname()).watch(never, ends_group=True):
        connection, request = take(listener)
        connection.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.recv(1)

    connection.settimeout(60)
    with connection:
        assert connection.recv(1) == b""
    assert request["request"] == "lava_watch"
    assert request["group_size"] == 2
    assert (request["hold"], request["ends_group"]) == (True, True)


def test_the_end_of_the_group_is_told_once_and_the_member_stays_present(
    make_client: MakeClient, listener: socket.socket
) -> None:
    ends: queue.Queue[PeerFailed] = queue.Queue()
    with make_client("one", address=listener.getsockname()).watch(ends.put):
        serve(listener, ENDED)
        assert "host failed: no boot" in ends.get(timeout=60).message

        serve(listener, ENDED)
        connection, _ = take(listener)
        with connection:
            connection.sendall(ENDED)
    assert ends.empty()


def test_a_broken_connection_is_made_again_to_the_same_group(
    make_client: MakeClient, listener: socket.socket
) -> None:
    with make_client("one", address=listener.getsockname()).watch(never):
        first = serve(listener, b"")
        second = serve(listener, b"0000")
        serve(listener, b"")

    del first["group_size"]
    assert first == second, "a group that is gone must not be made anew"


@pytest.mark.parametrize(
    "answer",
    [{"response": "nack"}, {"response": "nack", "reason": "unknown group"}, {"response": "wait"}],
    ids=str,
)
def test_a_coordinator_that_does_not_watch_is_left_alone(
    make_client: MakeClient, listener: socket.socket, answer: dict[str, str]
) -> None:
    with make_client("one", address=listener.getsockname()).watch(never):
        serve(listener, encode_frame(answer))

        presence_ends("one")
