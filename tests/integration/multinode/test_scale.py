# SPDX-License-Identifier: MIT
"""Thousands of clients at once at a stand-alone coordinator."""

from __future__ import annotations

import resource
import selectors
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from lava_vmgroup.multinode.frames import FrameDecoder, encode_frame

if TYPE_CHECKING:
    from tests.integration.multinode.conftest import Address, Bare
    from tests.support.coordinators import Running

MANY = 2000


@pytest.fixture
def many_files() -> Iterator[None]:
    """Let this program open as many files as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def ask(index: int, request: str, **fields: Any) -> bytes:
    base = {
        "request": request,
        "client_name": f"node{index}",
        "group_name": "many",
        "group_size": MANY,
        "hostname": "dispatcher",
        "role": "tester",
        "hold": True,
    }
    return encode_frame(base | fields)


def connected(stack: ExitStack, address: Address, frame: bytes) -> socket.socket:
    connection = stack.enter_context(socket.create_connection(address, timeout=60))
    connection.sendall(frame)
    return connection


def answers(connections: list[socket.socket]) -> list[Any]:
    """Return the answers, one per connection."""
    decoders = {connection: FrameDecoder(1 << 20) for connection in connections}
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ, connection)
        while selector.get_map():
            ready = selector.select(60)
            assert ready, f"{len(selector.get_map())} connections have no answer"
            for key, _ in ready:
                if decoders[key.data].feed(key.data.recv(1 << 16)):
                    selector.unregister(key.data)
    return [decoders[connection].value for connection in connections]


@pytest.mark.usefixtures("many_files")
def test_two_thousand_members_are_held_at_once_and_released_together(
    standalone: Running, bare: Bare
) -> None:
    with ExitStack() as stack:

        def all_ask(request: str, indexes: range, **fields: Any) -> list[socket.socket]:
            return [
                connected(stack, standalone.address, ask(index, request, **fields))
                for index in indexes
            ]

        coming = all_ask("group_data", range(MANY - 1))
        watches = all_ask("lava_watch", range(100))
        coming += all_ask("group_data", range(MANY - 1, MANY))
        assert all(len(answer["roles"]) == MANY for answer in answers(coming))

        entering = all_ask("lava_sync", range(MANY - 1), messageID="m")
        status = bare.ask(standalone.address, {"request": "lava_status"})
        assert len(status["message"]["groups"]["many"]["waits"]) == MANY - 1
        entering += all_ask("lava_sync", range(MANY - 1, MANY), messageID="m")

        released = answers(entering)

        assert released == [{"response": "ack", "message": "m"}] * MANY
        assert len(watches) == 100


@pytest.mark.usefixtures("many_files")
def test_a_group_notices_nothing_of_what_bad_clients_do(standalone: Running, bare: Bare) -> None:
    address = standalone.address
    one = bare.connect(address, ask(0, "lava_sync", messageID="m", group_size=2))
    bad = [
        b"",  # silent
        b"0000",  # half a header
        b'00000100{"request": ',  # half a frame
        b"FFFFFFFF" + b"x" * 1000,  # 4 GiB announced
        b"GET / HTTP/1.0\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"00000002[]",
        b"00FFFFFF" + b"x" * 100_000,  # huge and unfinished
        b"00030D40" + b"[" * 200_000,
        encode_frame({"request": "lava_send", "client_name": "x", "group_name": "y" * 60_000}),
    ]
    with ExitStack() as stack:
        for index in range(600):
            connected(stack, address, bad[index % len(bad)])
        assert bare.ask(address, {"request": "?"}) == {"response": "nack"}

        two = bare.connect(address, ask(1, "lava_sync", messageID="m", group_size=2))

        assert answers([one, two]) == [{"response": "ack", "message": "m"}] * 2
    assert standalone.memory_kib() < 200 * 1024
