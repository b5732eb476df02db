# SPDX-License-Identifier: MIT
"""The coordinator over real sockets: what it sends, when, and to whom; and what cannot harm it."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.multinode.coordinator import Coordinator
from lava_vmgroup.multinode.frames import encode_frame
from tests.integration.multinode.frames import ACK, NACK, WAIT, frame, request, silent

if TYPE_CHECKING:
    from tests.integration.multinode.conftest import Bare


def test_a_polling_client_gets_the_bytes_that_lava_sends(
    coordinator: Coordinator, bare: Bare
) -> None:
    def bytes_for(*args: Any, **fields: Any) -> bytes:
        return bare.rest(bare.connect(coordinator.address, frame(*args, **fields)))

    assert bytes_for("one", "group_data") == WAIT
    assert bytes_for("two", "lava-send") == NACK
    assert bytes_for("one", "lava_send", messageID="m", message=None) == ACK
    assert (
        bytes_for("one", "lava_wait", messageID="m")
        == b'0000002B{"response": "ack", "message": {"one": {}}}'
    )
    assert bytes_for("one", "complete") == b""


def test_a_client_may_close_its_sending_side_before_it_reads(
    coordinator: Coordinator, bare: Bare
) -> None:
    connection = bare.connect(coordinator.address, frame("one", "group_data"))
    connection.shutdown(socket.SHUT_WR)

    assert bare.rest(connection) == WAIT


def test_a_request_comes_one_byte_at_a_time(coordinator: Coordinator, bare: Bare) -> None:
    connection = bare.connect(coordinator.address)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    for byte in frame("one", "group_data"):
        connection.sendall(bytes([byte]))

    assert bare.rest(connection) == WAIT


@pytest.mark.parametrize(
    ("command", "release"),
    [
        ({"command": "lava_wait", "messageID": "m"}, {"command": "lava_send", "messageID": "m"}),
        (
            {"command": "lava_wait_all", "messageID": "m", "waitrole": "other"},
            {"command": "lava_send", "messageID": "m"},
        ),
        ({"command": "lava_sync", "messageID": "m"}, {"command": "lava_sync", "messageID": "m"}),
        ({"command": "group_data"}, {"command": "group_data"}),
    ],
    ids=lambda item: item["command"],
)
def test_a_held_wait_is_answered_by_what_it_waits_for_and_by_nothing_before(
    coordinator: Coordinator, bare: Bare, command: dict[str, Any], release: dict[str, Any]
) -> None:
    if "messageID" in command:
        bare.ask(coordinator.address, request("two", "lava_wait", messageID="-", role="other"))
    waiting = bare.connect(coordinator.address, frame("one", **command, hold=True))
    bare.ask(coordinator.address, request("one", "lava_send", messageID="unrelated"))
    assert silent(waiting)

    bare.ask(coordinator.address, request("two", **release))

    answer = bare.rest(waiting)
    assert answer.count(b'"response"') == 1
    assert b'"wait"' not in answer
    assert b'"nack"' not in answer


def test_a_failure_ends_held_waits_but_not_that_for_all_to_stop(
    coordinator: Coordinator, bare: Bare
) -> None:
    stopping = bare.connect(
        coordinator.address, frame("one", "lava_wait", messageID="lava_vm_stop", hold=True)
    )
    waiting = bare.connect(coordinator.address, frame("one", "lava_wait", messageID="m", hold=True))

    bare.ask(coordinator.address, request("two", "lava_failed", reason="no boot"))

    assert b'{"response": "nack", "failed": {"two": "no boot"}}' in bare.rest(waiting)
    assert silent(stopping)
    bare.ask(coordinator.address, request("two", "lava_send", messageID="lava_vm_stop"))
    assert b'"message": {"two": {}}' in bare.rest(stopping)


def test_a_watch_stays_open_when_it_was_answered(coordinator: Coordinator, bare: Bare) -> None:
    watching = bare.connect(coordinator.address, frame("one", "lava_watch", hold=True))
    failure = request("two", "lava_failed", reason="no power", ends_group=True)
    assert bare.ask(coordinator.address, failure) == {"response": "ack"}
    told = encode_frame({"response": "nack", "failed": {"two": "no power"}})
    assert watching.recv(len(told), socket.MSG_WAITALL) == told

    assert bare.ask(coordinator.address, {}) == {"response": "nack"}

    assert silent(watching)


def test_a_holder_that_goes_is_forgotten(coordinator: Coordinator, bare: Bare) -> None:
    waiting = bare.connect(coordinator.address, frame("one", "lava_wait", messageID="m", hold=True))
    waiting.shutdown(socket.SHUT_WR)
    assert bare.rest(waiting) == b""

    assert bare.ask(coordinator.address, request("two", "lava_send", messageID="m")) is not None


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"FFFFFFFF" + b"x" * 100_000,
        b"01000001",
        b"00000005hello",
        b"00000003\xff\xff\xff",
        b"0000C350" + b"[" * 50_000,
    ],
    ids=lambda garbage: repr(garbage[:12]),
)
def test_a_malformed_frame_ends_its_connection_without_an_answer(
    coordinator: Coordinator, bare: Bare, garbage: bytes
) -> None:
    connection = bare.connect(coordinator.address)
    with suppress(OSError):  # closed before it had everything
        connection.sendall(garbage)

    assert bare.rest(connection) == b""
    assert bare.ask(coordinator.address, request("one", "group_data")) == {"response": "wait"}


@pytest.mark.parametrize(
    "malformed",
    [
        [],
        12,
        {},
        {"request": "lava_wait", "client_name": "three"},
        {"request": "lava_wait", "client_name": "three", "group_name": "group"},
        {"request": "lava_send", "client_name": "one", "group_name": "group", "messageID": []},
    ],
    ids=str,
)
def test_a_malformed_request_is_refused_and_the_group_lives_on(
    coordinator: Coordinator, bare: Bare, malformed: Any
) -> None:
    bare.ask(coordinator.address, request("one", "group_data"))

    assert bare.ask(coordinator.address, malformed) == {"response": "nack"}
    assert bare.ask(coordinator.address, request("two", "group_data")) == {
        "response": "group_data",
        "roles": {"one": "tester", "two": "tester"},
    }


def test_leaving_ends_the_thread_and_every_socket(bare: Bare) -> None:
    threads, files = threading.active_count(), set(Path("/proc/self/fd").iterdir())

    with Coordinator() as coordinator:
        address = coordinator.address
        waiting = bare.connect(address, frame("one", "lava_wait", messageID="m", hold=True))
        silent_one = bare.connect(address)
        assert bare.ask(address, {}) == {"response": "nack"}

    assert threading.active_count() == threads
    assert bare.rest(waiting) == b""
    assert bare.rest(silent_one) == b""
    bare.stack.close()
    assert set(Path("/proc/self/fd").iterdir()) == files
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def test_an_address_in_use_is_an_error_that_names_it(coordinator: Coordinator) -> None:
    host, port = coordinator.address

    with pytest.raises(InfrastructureError, match=f"{host}:{port}"), Coordinator((host, port)):
        pass


def test_it_listens_on_loopback_only_unless_told_otherwise(coordinator: Coordinator) -> None:
    assert coordinator.address[0] == "127.0.0.1"
    assert coordinator.address[1] != 0
