# SPDX-License-Identifier: MIT
"""A coordinator on loopback, bare connections to it, and calls in threads."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.config.coordinator import Endpoint
from lava_vmgroup.multinode.client import Membership, MultiNodeClient
from lava_vmgroup.multinode.coordinator import Coordinator
from lava_vmgroup.multinode.frames import FrameDecoder, encode_frame
from tests.support.coordinators import Running, our_coordinator

Address = tuple[str, int]
MakeClient = Callable[..., MultiNodeClient]
Start = Callable[..., Future[Any]]


@dataclass(frozen=True)
class Bare:
    """Connections as any program can make them."""

    stack: ExitStack

    def connect(self, address: Address, data: bytes = b"") -> socket.socket:
        """A connection over which `data` was sent."""
        connection = self.stack.enter_context(socket.create_connection(address, timeout=60))
        connection.sendall(data)
        return connection

    def rest(self, connection: socket.socket) -> bytes:
        """All that still comes until the other side closes."""
        received = bytearray()
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionResetError:
            pass  # closed with something unread
        return bytes(received)

    def ask(self, address: Address, request: Any) -> Any:
        """The answer to one request; None if there was none."""
        answer = self.rest(self.connect(address, encode_frame(request)))
        decoder = FrameDecoder(1 << 24)
        return decoder.value if decoder.feed(answer) else None


@pytest.fixture
def bare() -> Iterator[Bare]:
    with ExitStack() as stack:
        yield Bare(stack)


@pytest.fixture
def coordinator() -> Iterator[Coordinator]:
    with Coordinator() as running:
        yield running


@pytest.fixture
def standalone() -> Iterator[Running]:
    """The coordinator as a program of its own."""
    with our_coordinator() as running:
        yield running


@pytest.fixture
def deadline() -> Deadline:
    """Never reached unless something is broken."""
    return Deadline.after("the test", 60)


@pytest.fixture
def make_client(coordinator: Coordinator) -> MakeClient:
    """Members of a group of two; one that had to poll would not end before the deadline."""

    def make(name: str, **options: Any) -> MultiNodeClient:
        host, port = options.pop("address", coordinator.address)
        poll_delay_s = options.pop("poll_delay_s", 3600)
        endpoint = Endpoint(host=host, port=port, poll_delay_s=poll_delay_s)
        rest = [options.pop(key, None) for key in ("token", "on_standstill")]
        given = {"group_name": "group", "group_size": 2, "role": "tester", **options}
        return MultiNodeClient(endpoint, Membership(client_name=name, **given), *rest)

    return make


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts calls in threads; each has ended when the test has."""
    before = threading.active_count()
    with ThreadPoolExecutor(max_workers=16) as pool:
        yield pool.submit
    assert threading.active_count() <= before


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server that the test plays itself."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        yield server


@pytest.fixture
def on_retry() -> Iterator[list[Callable[[], None]]]:
    """Callables to run, one per call that fails to reach its coordinator."""
    todo: list[Callable[[], None]] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if getattr(record, "kind", "") == "multinode-retry" and todo:
                todo.pop(0)()

    logger, handler = logging.getLogger("lava_vmgroup"), Handler()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield todo
    logger.setLevel(level)
    logger.removeHandler(handler)
