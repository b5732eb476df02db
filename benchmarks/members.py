# SPDX-License-Identifier: MIT
"""Members of a group that cost next to nothing, so that what is measured is the coordinator.

All live in one event loop and keep the rules of one client or the other: ours asks once and is
held, LAVA's asks again after a pause for as long as it is told to wait.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from lava_vmgroup.multinode.frames import REPLY_LIMIT, FrameDecoder, encode_frame

Address = tuple[str, int]


class _Exchange(asyncio.Protocol):
    """One connection: a frame out, whatever comes until the other side closes in."""

    def __init__(self, frame: bytes, *, half_close: bool) -> None:
        self.received = bytearray()
        self.last_byte_at = 0.0
        self.sent = asyncio.get_running_loop().create_future()
        self.over = asyncio.get_running_loop().create_future()
        self._frame = frame
        self._half_close = half_close

    def connection_made(self, transport: Any) -> None:
        transport.write(self._frame)
        if self._half_close:
            transport.write_eof()
        self.sent.set_result(None)

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.last_byte_at = time.monotonic()

    def connection_lost(self, _: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The waiting of a client."""

    name: str
    poll_delay_s: float | None = None
    """None for ours, which does not poll."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """One member of a group at a coordinator."""

    address: Address
    rules: Rules
    group: str
    group_size: int
    name: str
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the coordinator knows, or is about to know, what this one waits for."""

    def frame(self, request: str, **fields: Any) -> bytes:
        """A request as the client makes it."""
        host, port = self.address
        held = {} if self.rules.poll_delay_s else {"hold": True}
        base = {
            "port": port,
            "blocksize": 4096,
            "poll_delay": self.rules.poll_delay_s or 3,
            "host": host,
            "client_name": self.name,
            "group_name": self.group,
            "hostname": "benchmark",
            "role": "node",
        }
        return encode_frame({**base, **held, "request": request, **fields})

    async def call(self, request: str, **fields: Any) -> float:
        """Ask until there is an answer other than ``wait``; the moment when it was there.

        Raises `ConnectionError` for an answer that ends the client's work.
        """
        frame = self.frame(request, **fields)
        self.waiting.clear()
        pause_s = self.rules.poll_delay_s or 1
        retry_s = pause_s
        while True:
            try:
                answer, answered_at = await self._exchange(frame)
            except OSError:
                # LAVA's client tries again as well, later and later.
                await asyncio.sleep(retry_s)
                retry_s += 2
                continue
            if answer not in ("wait", ""):
                if answer == "nack":
                    raise ConnectionError(f"{request} of {self.name} was refused")
                return answered_at
            self.waiting.set()
            await asyncio.sleep(pause_s)

    async def _exchange(self, frame: bytes) -> tuple[str, float]:
        """The kind of answer, empty if there was none, and when all of it was there."""
        polling = self.rules.poll_delay_s is not None
        loop = asyncio.get_running_loop()
        transport, exchange = await loop.create_connection(
            lambda: _Exchange(frame, half_close=polling), *self.address
        )
        try:
            await exchange.sent
            if not polling:
                self.waiting.set()
            await exchange.over
        finally:
            transport.abort()
        decoder = FrameDecoder(REPLY_LIMIT)
        complete = decoder.feed(bytes(exchange.received))
        return (decoder.value["response"] if complete else ""), exchange.last_byte_at
