# SPDX-License-Identifier: MIT
"""Messages that a coordinator takes a second, and the cost of one."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks.members import Address, Member, Rules

CONNECTION_LIMIT_S = 10


@dataclass(frozen=True, kw_only=True)
class Messages:
    """The messages sent to one coordinator."""

    rules: Rules
    senders: int
    count: int
    """Those that were acknowledged."""
    lost: int
    """Those whose connection was reset or not accepted; LAVA's clients would try again."""
    took_s: float
    processor_s: float
    """The processor time that the coordinator used meanwhile."""

    @property
    def per_s(self) -> float:
        """Messages in a second."""
        return self.count / self.took_s

    @property
    def cost_s(self) -> float:
        """The coordinator's processor time for a message."""
        return self.processor_s / max(1, self.count)


def messages(
    address: Address,
    rules: Rules,
    *,
    senders: int,
    seconds: float,
    processor_s: Callable[[], float],
) -> Messages:
    """Have `senders` members send for `seconds`, each its next message after the last ack.

    `processor_s` tells how much processor time the coordinator has used.
    """
    begin = threading.Barrier(senders + 1)
    ending = threading.Event()

    def send(number: int) -> Counter[bool]:
        member = Member(
            address=address,
            rules=rules,
            group=f"{senders} senders, {rules.name}",
            group_size=senders,
            name=f"sender {number}",
        )
        frame = member.frame("lava_send", messageID="m", message={"n": "1"}, group_size=senders)
        begin.wait()
        acknowledged: Counter[bool] = Counter()
        while not ending.is_set():
            acknowledged[_acknowledged(address, frame)] += 1
        return acknowledged

    with ThreadPoolExecutor(senders) as pool:
        sending = [pool.submit(send, number) for number in range(senders)]
        begin.wait()
        used_s, began = processor_s(), time.monotonic()
        ending.wait(seconds)
        ending.set()
        acknowledged = sum((sender.result() for sender in sending), Counter[bool]())
        took_s, used_s = time.monotonic() - began, processor_s() - used_s
    return Messages(
        rules=rules,
        senders=senders,
        count=acknowledged[True],
        lost=acknowledged[False],
        took_s=took_s,
        processor_s=used_s,
    )


def _acknowledged(address: Address, frame: bytes) -> bool:
    """Send one request as LAVA's clients do, in a connection of its own."""
    received = b""
    try:
        with socket.create_connection(address, CONNECTION_LIMIT_S) as connection:
            connection.sendall(frame)
            connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(4096):
                received += chunk
    except OSError:
        return False
    return b'"ack"' in received
