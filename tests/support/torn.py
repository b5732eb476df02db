# SPDX-License-Identifier: MIT
"""A console whose text a kernel tears, and a server on the way repeats."""

from __future__ import annotations

import random
import re

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.connections.stream import ByteStream

KERNEL_LINES = (
    b"[   12.345678] usb 1-1: new high-speed USB device number 2\r\n",
    b"\r\n[  999.000001] random: crng init done\r\n",
    b"\x1b[0;32m[   13.7]\x1b[0m EXT4-fs (vda): mounted # $ \r\n",
    b"root@board:~# ",
    b"bash-5.2# ",
)
_PROMPT = re.compile(rb"lava-test \d+\.\d+\.\d+ \[rc=\d+\]# |lava-end \d+ \d+;\r*\n")


def chance_of(seed: str) -> random.Random:
    """Return chance that a seed repeats."""
    return random.Random(seed)  # noqa: S311


class Torn:
    """A `ByteStream` that writes into the text of another one, at places that chance chooses."""

    def __init__(self, stream: ByteStream, chance: random.Random) -> None:
        self.chance = chance
        """May be changed between two commands."""
        self.torn = 0
        self._stream = stream
        self._prompts = [b"root@board:~# "]

    def read(self) -> bytes:
        data = self._stream.read()
        if not data or self.chance.random() < 0.7:
            return data
        self._prompts.extend(_PROMPT.findall(data))
        self.torn += 1
        at = self.chance.randrange(len(data) + 1)
        return data[:at] + self._noise() + data[at:]

    def write(self, data: bytes, deadline: Deadline) -> None:
        self._stream.write(data, deadline)

    def close(self) -> None:
        self._stream.close()

    def _noise(self) -> bytes:
        noise = self.chance.choice(KERNEL_LINES)
        if self.chance.random() < 0.3:
            noise += self.chance.choice(self._prompts)
        return noise
