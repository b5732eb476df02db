# SPDX-License-Identifier: MIT
"""Clients that are silent, greedy, or too many harm nobody."""

from __future__ import annotations

import logging
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from lava_vmgroup.base.log import LOGGER
from lava_vmgroup.multinode.coordinator import Coordinator, usual_limits
from lava_vmgroup.multinode.frames import encode_frame
from lava_vmgroup.multinode.server import RESET
from tests.integration.multinode.frames import NACK, frame, request, silent

if TYPE_CHECKING:
    from tests.integration.multinode.conftest import Address, Bare


def test_clients_that_fall_silent_harm_nobody_and_are_sent_away(bare: Bare) -> None:
    with Coordinator(limits=replace(usual_limits(), transfer_s=1)) as coordinator:
        waiting = bare.connect(
            coordinator.address, frame("one", "lava_wait", messageID="m", hold=True)
        )
        slow = [
            bare.connect(coordinator.address, beginning)
            for beginning in (b"", b"000", b'00000013{"resp')
        ]

        assert bare.ask(coordinator.address, request("two", "group_data")) is not None
        assert [bare.rest(connection) for connection in slow] == [b"", b"", b""]
        assert silent(waiting), "the limit is not for those who are held"


def fill(address: Address, bare: Bare) -> dict[str, Any]:
    """Have a hundred members send what together no socket's buffer takes; the wait for it."""
    for index in range(100):
        big = {"data": "x" * 60_000, "group_size": 100}
        sent = request(f"n{index}", "lava_send", messageID="m", message=big, group_size=100)
        assert bare.ask(address, sent) == {"response": "ack"}
    return request("n0", "lava_wait_all", messageID="m")


def test_an_answer_larger_than_the_sockets_buffers_arrives_whole(
    coordinator: Coordinator, bare: Bare
) -> None:
    wait = fill(coordinator.address, bare)

    answer = bare.ask(coordinator.address, wait)

    assert [len(data["data"]) for data in answer["message"].values()] == [60_000] * 100


def test_a_client_that_does_not_read_its_answer_harms_nobody(bare: Bare) -> None:
    with Coordinator(limits=replace(usual_limits(), transfer_s=1)) as coordinator:
        wait = fill(coordinator.address, bare)
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with deaf:
            deaf.connect(coordinator.address)
            deaf.sendall(encode_frame(wait))

            assert bare.ask(coordinator.address, {}) == {"response": "nack"}
            gone = select.poll()
            gone.register(deaf, select.POLLHUP)
            assert gone.poll(60_000), "the coordinator has not given up"


@contextmanager
def logged(text: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """An event that is set when the coordinator logs `text`."""
    said = threading.Event()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if text in record.getMessage():
                said.set()

    monkeypatch.setattr(LOGGER, "handlers", [*LOGGER.handlers, Handler()])
    yield said


def test_clients_beyond_the_limit_of_connections_are_served_when_there_is_room(
    bare: Bare, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = frame("one", "lava_wait", messageID="m", hold=True)
    with (
        Coordinator(limits=replace(usual_limits(), connections=3)) as coordinator,
        logged("no new connections", monkeypatch) as full,
    ):
        waiting = [bare.connect(coordinator.address, wait) for _ in range(3)]
        late = bare.connect(coordinator.address, encode_frame({}))
        assert full.wait(60)

        waiting[0].close()

        assert bare.rest(late) == NACK


def test_the_silent_make_room_for_those_who_speak(bare: Bare) -> None:
    with Coordinator(limits=replace(usual_limits(), connections=3)) as coordinator:
        wait = frame("one", "lava_wait", messageID="m", hold=True)
        waiting = bare.connect(coordinator.address, wait)
        quiet = [bare.connect(coordinator.address, beginning) for beginning in (b"", b"0000")]

        for _ in range(5):
            assert bare.ask(coordinator.address, {}) == {"response": "nack"}

        assert bare.rest(quiet[0]) == b""
        assert silent(waiting)


def test_the_greediest_goes_when_all_together_want_too_much(bare: Bare) -> None:
    limits = replace(usual_limits(), buffer_bytes=1_000_000)
    with Coordinator(limits=limits) as coordinator:
        modest = bare.connect(coordinator.address, b"000F4240" + b" " * 300_000)
        greedy = bare.connect(coordinator.address)
        with suppress(OSError):  # cut off before it had everything
            greedy.sendall(b"00FFFFFF" + b" " * 10_000_000)

        assert bare.rest(greedy) == b""
        assert silent(modest)
        assert bare.ask(coordinator.address, request("one", "group_data")) == {"response": "wait"}


@pytest.mark.parametrize(
    "sent",
    [b"", b"0000", frame("one", "lava_wait", messageID="m", hold=True)],
    ids=["silent", "sending", "held"],
)
def test_a_client_that_resets_its_connection_harms_nobody(
    coordinator: Coordinator, bare: Bare, sent: bytes
) -> None:
    rude = bare.connect(coordinator.address, sent)
    assert bare.ask(coordinator.address, request("two", "group_data")) is not None

    rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    rude.close()

    assert bare.ask(coordinator.address, request("two", "lava_send", messageID="m")) == {
        "response": "ack"
    }
    assert bare.ask(coordinator.address, {}) == {"response": "nack"}
