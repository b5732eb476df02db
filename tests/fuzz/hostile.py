# SPDX-License-Identifier: MIT
"""Input of hostile, broken and confused programs for a coordinator, chosen at random."""

from __future__ import annotations

import enum
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).with_name("corpus")
COMMANDS = (
    "group_data", "lava_send", "lava_wait", "lava_wait_all", "lava_sync", "aggregate",
    "clear_group", "complete", "lava_failed", "lava_watch", "lava_status", "reboot",
)  # fmt: skip
FIELDS = (
    "request", "client_name", "group_name", "group_size", "hostname", "role", "messageID",
    "message", "waitrole", "bundle", "sub_id", "reason", "hold", "instance", "token", "timeout",
    "ends_group", "poll_delay", "blocksize",
)  # fmt: skip
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**64, 10**400, 0.5, 1e308, float("nan"), float("inf"),
    "", "0", "2", "-2", "data", "null", "\0", "\ud800", "\u0663", "x" * 5000, [], [[]], [1, "a"],
    {}, {"": ""}, {"data": {"data": {}}}, {"a": None},
)  # fmt: skip


class Ending(enum.Enum):
    """The end of a connection after the last byte."""

    READ = enum.auto()
    """Read until the other side closes, or patience ends."""
    HALF_CLOSE = enum.auto()
    """The same with the own side closed, as LAVA's clients do it."""
    LEAVE = enum.auto()
    """Close without reading."""
    RESET = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One connection."""

    kind: str
    chunks: tuple[bytes, ...]
    """Pieces to send, with a pause between them."""
    ending: Ending


def frame(text: bytes) -> bytes:
    """`text` with its true length."""
    return b"%08X" % len(text) + text


class Hostile:
    """Makes attacks; a seed makes the same ones again."""

    def __init__(self, seed: int, assembled: Callable[[], str | None]) -> None:
        """`assembled` names a group of others that has all its members, if there is one."""
        self._random = random.Random(seed)  # noqa: S311 - to be repeated
        self._assembled = assembled
        self._corpus = [
            line for path in sorted(CORPUS.glob("*.txt")) for line in path.read_bytes().splitlines()
        ]
        self._kinds: dict[str, Callable[[], bytes]] = {
            "as LAVA's clients": self._replayed,
            "bytes changed": self._mutated,
            "wrong length": self._wrong_length,
            "no length": self._no_length,
            "4 GiB announced": self._huge,
            "cut off": self._cut_off,
            "not JSON": self._not_json,
            "JSON of another shape": self._other_shape,
            "wrong types": self._wrong_types,
            "members of odd groups": self._member,
            "intruders": self._intruder,
            "impersonators": self._impersonator,
        }

    def attack(self) -> Attack:
        """The next one."""
        kind = self._random.choice(tuple(self._kinds))
        data = self._kinds[kind]()
        endings, weights = tuple(Ending), (50, 35, 10, 5)
        (ending,) = self._random.choices(endings, weights)
        return Attack(kind=kind, chunks=self._chunks(data), ending=ending)

    def _chunks(self, data: bytes) -> tuple[bytes, ...]:
        if len(data) < 2 or self._random.random() < 0.95:
            return (data,)
        cuts = sorted(self._random.sample(range(1, len(data)), min(3, len(data) - 1)))
        return tuple(
            data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)
        )

    def _replayed(self) -> bytes:
        return self._random.choice(self._corpus)

    def _mutated(self) -> bytes:
        data = bytearray(self._replayed())
        for _ in range(self._random.randint(1, 4)):
            place = self._random.randrange(len(data))
            match self._random.randrange(4):
                case 0:
                    data[place] = self._random.randrange(256)
                case 1:
                    data[place] ^= 1 << self._random.randrange(8)
                case 2:
                    del data[place : place + self._random.randint(1, 8)]
                case _:
                    data[place:place] = self._random.randbytes(self._random.randint(1, 8))
            data = data or bytearray(b"0")
        # Half of them with a true length, so that what is inside is looked at.
        return frame(bytes(data[8:])) if self._random.random() < 0.5 else bytes(data)

    def _wrong_length(self) -> bytes:
        text = self._replayed()[8:]
        length = max(0, len(text) + self._random.choice((-100, -1, 1, 7, 1000, 60000)))
        return b"%08x" % length + text

    def _no_length(self) -> bytes:
        text = self._replayed()[8:]
        return self._random.choice((text, b"GET / HTTP/1.1\r\n\r\n", b"-0000001{}", b"0x00002{}"))

    def _huge(self) -> bytes:
        length = self._random.choice((b"FFFFFFFF", b"7FFFFFFF", b"01000001", b"0000FFFF"))
        return length + b"[" * self._random.randrange(20_000)

    def _cut_off(self) -> bytes:
        data = self._replayed()
        return data[: self._random.randrange(len(data))]

    def _not_json(self) -> bytes:
        garbage = self._random.randbytes(self._random.randrange(200))
        texts = (
            garbage,
            b"",
            b"{",
            b'{"request": }',
            b"[" * 5000,
            b"{'request': 1}",
            b"1e",
            b"\xff",
        )
        return frame(self._random.choice(texts))

    def _other_shape(self) -> bytes:
        shapes: tuple[Any, ...] = (*ODD_VALUES, [{"request": "group_data"}], {"request": {}})
        return frame(json.dumps(self._random.choice(shapes)).encode())

    def _wrong_types(self) -> bytes:
        request = json.loads(self._replayed()[8:])
        for _ in range(self._random.randint(1, 3)):
            request[self._random.choice(FIELDS)] = self._random.choice(ODD_VALUES)
        if self._random.random() < 0.2:
            request.pop(self._random.choice(list(request)))
        return frame(json.dumps(request).encode())

    def _member(self) -> bytes:
        """A well-formed request in a small world, where everything happens to everybody."""
        size = self._random.choice((1, 2, 3, 5, "2"))
        group, client = f"odd {self._random.randrange(40)}", f"c{self._random.randrange(6)}"
        return self._request(group, client, group_size=size)

    def _intruder(self) -> bytes:
        """One member too many in a group that is complete; never makes a new one of its name."""
        return self._request(self._assembled() or "odd 0", f"intruder{self._random.randrange(6)}")

    def _impersonator(self) -> bytes:
        """Under the name of a member of a group that is complete."""
        return self._request(self._assembled() or "odd 0", self._random.choice(("host", "vm1")))

    def _request(self, group: str, client: str, **fields: Any) -> bytes:
        choose = self._random.choice
        request = {
            "request": choose(COMMANDS),
            "client_name": client,
            "group_name": group,
            "hostname": "h",
            "role": choose(("host", "guest")),
            "messageID": choose(("m", "n", "data", "lava_vm_stop", None)),
            "hold": choose((True, False)),
            **fields,
        }
        further: dict[str, Any] = {
            "waitrole": choose(("host", "guest", "nobody")),
            "message": choose(({}, {"a": "1"}, {"a": "x" * 2000}, None, "")),
            "bundle": choose((None, "0" * 40, {"test_runs": []})),
            "sub_id": choose(("7.0", "7.1", "7")),
            "reason": "no boot",
            "ends_group": choose((True, False)),
            "instance": choose(("a", "b")),
        }
        request |= {key: value for key, value in further.items() if self._random.random() < 0.6}
        return frame(json.dumps(request).encode())
