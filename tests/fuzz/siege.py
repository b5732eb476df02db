# SPDX-License-Identifier: MIT
"""Many hostile connections at once, from one thread."""

from __future__ import annotations

import heapq
import itertools
import selectors
import socket
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from lava_vmgroup.base.errors import VMGroupError
from lava_vmgroup.multinode.frames import REPLY_LIMIT, FrameDecoder
from lava_vmgroup.multinode.server import RESET
from lava_vmgroup.multinode.wire import Reply
from tests.fuzz.hostile import Attack, Ending

CHUNK = 65536
PATIENCE_S = 0.1
"""Time limit of most connections for an answer."""
LONG_PATIENCE_S = 15.0
"""Time limit of one in `PATIENT_ONES`: the coordinator gives up earlier."""
PATIENT_ONES = 2000


@dataclass(slots=True, eq=False)
class _Connection:
    socket: socket.socket
    attack: Attack
    unsent: deque[bytes]
    received: bytearray = field(default_factory=bytearray)
    over: bool = False


class Siege:
    """Carries out attacks, `at_once` at a time."""

    def __init__(
        self, address: tuple[str, int], attacks: Iterator[Attack], *, at_once: int
    ) -> None:
        self.outcomes: Counter[str] = Counter()
        """Number of connections for each end."""
        self.kinds: Counter[str] = Counter()
        self.garbled: list[bytes] = []
        """Answers that are none."""
        self._address = address
        self._attacks = attacks
        self._at_once = at_once
        self._open = 0
        self._number = itertools.count()
        self._patience: list[tuple[float, int, _Connection]] = []

    def run(self) -> None:
        """Carry out all attacks; returns when each has ended."""
        with selectors.DefaultSelector() as self._selector:
            while True:
                for attack in itertools.islice(self._attacks, self._at_once - self._open):
                    self._start(attack)
                if not self._open:
                    return
                for key, _ in self._selector.select(self._patience[0][0] - time.monotonic()):
                    self._proceed(key.data)
                self._lose_patience()

    def _start(self, attack: Attack) -> None:
        connection = _Connection(
            socket.socket(socket.AF_INET, socket.SOCK_STREAM), attack, deque(attack.chunks)
        )
        connection.socket.setblocking(False)
        connection.socket.connect_ex(self._address)
        self._open += 1
        self.kinds[attack.kind] += 1
        self._selector.register(connection.socket, selectors.EVENT_WRITE, connection)
        number = next(self._number)
        wait_s = LONG_PATIENCE_S if number % PATIENT_ONES == 0 else PATIENCE_S
        heapq.heappush(self._patience, (time.monotonic() + wait_s, number, connection))

    def _proceed(self, connection: _Connection) -> None:
        try:
            if connection.unsent:
                self._send(connection)
            else:
                self._receive(connection)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(connection, type(error).__name__)

    def _send(self, connection: _Connection) -> None:
        sent = connection.socket.send(connection.unsent[0])
        rest = connection.unsent.popleft()[sent:]
        if rest:
            connection.unsent.appendleft(rest)
        if connection.unsent:
            return
        match connection.attack.ending:
            case Ending.LEAVE:
                self._end(connection, "left")
            case Ending.RESET:
                connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                self._end(connection, "reset")
            case Ending.HALF_CLOSE:
                connection.socket.shutdown(socket.SHUT_WR)
                self._selector.modify(connection.socket, selectors.EVENT_READ, connection)
            case Ending.READ:
                self._selector.modify(connection.socket, selectors.EVENT_READ, connection)

    def _receive(self, connection: _Connection) -> None:
        chunk = connection.socket.recv(CHUNK)
        connection.received += chunk
        if not chunk:
            self._end(connection, self._answer(bytes(connection.received)))

    def _answer(self, received: bytes) -> str:
        if not received:
            return "closed without an answer"
        decoder = FrameDecoder(REPLY_LIMIT)
        try:
            if decoder.feed(received):
                return f"answered {Reply.parse(decoder.value).response.value}"
        except VMGroupError:
            pass
        self.garbled.append(received[:200])
        return "garbled"

    def _lose_patience(self) -> None:
        now = time.monotonic()
        while self._patience and (self._patience[0][0] <= now or self._patience[0][2].over):
            _, _, connection = heapq.heappop(self._patience)
            if not connection.over:
                self._end(connection, "patience lost")

    def _end(self, connection: _Connection, outcome: str) -> None:
        connection.over = True
        self._open -= 1
        self.outcomes[outcome] += 1
        self._selector.unregister(connection.socket)
        connection.socket.close()
