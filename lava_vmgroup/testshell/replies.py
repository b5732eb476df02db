# SPDX-License-Identifier: MIT
"""The answers that are typed to a test shell's calls: one line if that can carry it, else parts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from lava_vmgroup.base.errors import MultiNodeError
from lava_vmgroup.testshell.events import MultiNodeApi
from lava_vmgroup.testshell.parts import encode, part_words

MAX_REPLY_LENGTH = 1000
"""Characters of a reply in one line: no terminal drops the end of such a line."""

_PLAIN = re.compile(r"[!-;=?-~]+")
"""A word that a line can carry: visible ASCII characters, but for ``<`` and ``>``."""


def reply_sync(ok: bool) -> str:
    """Return the line that ends a lava-sync."""
    return _reply(MultiNodeApi.SYNC, () if ok else ("nack",))


@dataclass(frozen=True, slots=True, kw_only=True)
class PartsReply:
    """A reply that one line cannot carry: its parts are typed as the node asks for them."""

    api: MultiNodeApi
    texts: tuple[str, ...]

    def lines(self, transfer: str) -> tuple[str, ...]:
        """Return the lines to type, in order; the node asks for more by the name `transfer`."""
        return tuple(
            f"<LAVA_{self.api.value}_PART {words}>" for words in part_words(transfer, self.texts)
        )


Reply: TypeAlias = str | PartsReply
"""The answer that ends a waiting call: most often one line, in v1's form."""


def reply_wait(data: Mapping[str, Mapping[str, str]] | None) -> Reply:
    """Return the answer to a lava-wait, with each sender's keys and values; None refuses the call.

    Raises `MultiNodeError` if the node's cache file cannot hold the data.
    """
    return _reply_data(MultiNodeApi.WAIT, data)


def reply_wait_all(data: Mapping[str, Mapping[str, str]] | None) -> Reply:
    """Return the answer to a lava-wait-all, as `reply_wait`."""
    return _reply_data(MultiNodeApi.WAIT_ALL, data)


def reply_sent() -> str:
    """Return the line that confirms a lava-send, if that is a record."""
    return _reply(MultiNodeApi.SEND, ())


def reply_again() -> str:
    """Return the line that asks a helper to repeat a call that came damaged."""
    return "<LAVA_AGAIN>"


def ask_blocked() -> str:
    """Return the line that asks a waiting helper whether anything else of its test runs."""
    return "<LAVA_BLOCKED>"


def reply_settle(wanted: Iterable[int]) -> str:
    """Return the line that asks a node for records; without any, the node's lava-settle ends."""
    return _line("SETTLE", map(str, wanted))


def reply_nack(api: MultiNodeApi) -> str | None:
    """Return the line that refuses a call; None for a lava-send, which cannot be refused."""
    return None if api is MultiNodeApi.SEND else _reply(api, ("nack",))


def _reply_data(api: MultiNodeApi, data: Mapping[str, Mapping[str, str]] | None) -> Reply:
    if data is None:
        return _reply(api, ("nack",))
    words = [
        f"{sender}:{key}={value}" for sender, pairs in data.items() for key, value in pairs.items()
    ]
    line = _reply(api, words)
    if len(line) <= MAX_REPLY_LENGTH and all(_PLAIN.fullmatch(word) for word in words):
        return line
    try:
        return PartsReply(api=api, texts=encode(words))
    except MultiNodeError as error:
        raise MultiNodeError(
            f"the reply to {api.helper} cannot be typed: {error.message}", hint=error.hint
        ) from error


def _reply(api: MultiNodeApi, words: Sequence[str]) -> str:
    return _line(api.value, words)


def _line(name: str, words: Iterable[str]) -> str:
    return " ".join((f"<LAVA_{name}_COMPLETE", *words)) + ">"
