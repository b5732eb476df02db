# SPDX-License-Identifier: MIT
"""What is typed in answer to a test shell's calls: one line where that can carry it, else parts."""

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
"""What a word of a line may be: all of ASCII that is to be seen, but for ``<`` and ``>``."""


def reply_sync(ok: bool) -> str:
    """The line that ends a lava-sync."""
    return _reply(MultiNodeApi.SYNC, () if ok else ("nack",))


@dataclass(frozen=True, slots=True, kw_only=True)
class PartsReply:
    """A reply that one line cannot carry: its parts are typed as the node asks for them."""

    api: MultiNodeApi
    texts: tuple[str, ...]

    def lines(self, transfer: str) -> tuple[str, ...]:
        """The lines to type, in order; `transfer` is the name by which the node asks for more."""
        return tuple(
            f"<LAVA_{self.api.value}_PART {words}>" for words in part_words(transfer, self.texts)
        )


Reply: TypeAlias = str | PartsReply
"""What ends a call that waits: most often one line, of v1's form."""


def reply_wait(data: Mapping[str, Mapping[str, str]] | None) -> Reply:
    """What ends a lava-wait: each sender's keys and values; None refuses it.

    Raises MultiNodeError when the node's cache file could not hold the data.
    """
    return _reply_data(MultiNodeApi.WAIT, data)


def reply_wait_all(data: Mapping[str, Mapping[str, str]] | None) -> Reply:
    """What ends a lava-wait-all; as `reply_wait`."""
    return _reply_data(MultiNodeApi.WAIT_ALL, data)


def reply_sent() -> str:
    """The line that says that a message of a record has been sent."""
    return _reply(MultiNodeApi.SEND, ())


def reply_again() -> str:
    """The line that has a node say a call again which came damaged."""
    return "<LAVA_AGAIN>"


def ask_blocked() -> str:
    """The line that asks a helper that waits whether anything else of its test goes on."""
    return "<LAVA_BLOCKED>"


def reply_settle(wanted: Iterable[int]) -> str:
    """The line that asks a node for records; without any, it has no more to do."""
    return _line("SETTLE", map(str, wanted))


def reply_nack(api: MultiNodeApi) -> str | None:
    """The line that refuses a call; None for a lava-send, which waits for nothing."""
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
