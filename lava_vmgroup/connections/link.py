# SPDX-License-Identifier: MIT
"""The interface of every link to a host: commands there, their streams, and files.

Commands are lists of words.  Any thread may start commands; only one thread may work on files.
If a link breaks off, its next use makes it again.
"""

from __future__ import annotations

import abc
import shlex
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self, TypeVar

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, LinkLost
from lava_vmgroup.connections.stream import ByteStream

TRIES = 3
"""The number of times that an operation is begun, as its connection may break off."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The exit status of a command on the host, and its standard output and error in one text."""

    status: int
    output: str


class LinkStream(ByteStream, Protocol):
    """The standard input and output of a command on the host."""

    @property
    def broke_off(self) -> bool:
        """True if the stream has ended before its command, because the link broke off."""
        ...


class LineChannel(Protocol):
    """A command on the host that answers each line with a line."""

    @property
    def is_closed(self) -> bool:
        """True once no more questions can be asked."""
        ...

    def ask(self, question: str, deadline: Deadline) -> str:
        """Send the line `question`, and block until the command answers; return its line.

        Raises `DeadlineExpired`, `InfrastructureError` when the command has ended or prints too
        much, and `LinkLost` when the link broke off.
        """
        ...

    def close(self) -> None:
        """Close the channel, which ends the command's input and wakes a thread that asks."""
        ...


class Link(abc.ABC):
    """A way to a host.

    A command that has not begun, a command that may run twice (`run_again`) and the work on files
    go on over a new connection.  Any other command that was running raises `LinkLost`.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    @abc.abstractmethod
    def patience_s(self) -> int:
        """Seconds for which the host may be out of reach before a use of it fails."""

    @property
    @abc.abstractmethod
    def peer_ip(self) -> str:
        """The IP address of the host."""

    @abc.abstractmethod
    def close(self) -> None:
        """Close the link and all its channels for good; any thread may call this."""

    @abc.abstractmethod
    def run(
        self,
        argv: Sequence[str],
        deadline: Deadline,
        *,
        stdin: bytes | Iterable[bytes] = b"",
    ) -> CommandResult:
        """Run a command, send it `stdin`, block until it ends, and return its result.

        `stdin` may come in pieces.  An exit status other than 0 is not an error.  Raises `LinkLost`
        if the link breaks off while the command runs, `InfrastructureError` if the command cannot
        be started or prints too much, and the errors of `Deadline.check`.
        """

    def run_again(self, argv: Sequence[str], deadline: Deadline) -> CommandResult:
        """Run a command that may run twice; if the link breaks off under it, run it again."""
        return _begun_again(lambda: self.run(argv, deadline))

    def check_run(
        self,
        argv: Sequence[str],
        deadline: Deadline,
        *,
        stdin: bytes | Iterable[bytes] = b"",
    ) -> str:
        """Run a command that must succeed, and return its output; see `run`.

        Raises `InfrastructureError` if its exit status is not 0.
        """
        result = self.run(argv, deadline, stdin=stdin)
        if result.status != 0:
            said = result.output.splitlines()[-20:]
            why = f": {said[-1]}" if said else ""
            raise InfrastructureError(
                f"on the host, {shlex.join(argv)[:200]!r} ended with status {result.status}{why}",
                last_lines=said,
            )
        return result.output

    @abc.abstractmethod
    def holding(self, argv: Sequence[str], deadline: Deadline) -> AbstractContextManager[str]:
        """Start a command, yield the first text that it prints, and end its input after the block.

        This is for a command that takes something, such as a lock, reports that, and keeps it until
        its input ends.
        """

    @abc.abstractmethod
    def open_stream(
        self, argv: Sequence[str], deadline: Deadline, *, terminal: bool = False
    ) -> LinkStream:
        """Start a command, and return its standard input and output as a byte stream.

        With `terminal` they are a terminal of the host, for programs that need one.
        """

    def open_stream_again(self, argv: Sequence[str], deadline: Deadline) -> LinkStream:
        """Open the stream of a command that may be started twice; see `run_again`."""
        return _begun_again(lambda: self.open_stream(argv, deadline))

    @abc.abstractmethod
    def open_lines(self, argv: Sequence[str], deadline: Deadline) -> LineChannel:
        """Start a command that answers each line with a line; any thread may use the channel."""

    @abc.abstractmethod
    def size_of(self, remote: str, deadline: Deadline) -> int | None:
        """Return the size of a file on the host in bytes, or None if there is no such file."""

    @abc.abstractmethod
    def put(
        self,
        local: Path,
        remote: str,
        deadline: Deadline,
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """Copy `local` to the host, runs of zeros as holes, and return the number of bytes sent.

        Calls `progress` with the position reached, in bytes.  If the link breaks off, copies the
        file again from its beginning.
        """

    @abc.abstractmethod
    def put_bytes(self, data: bytes, remote: str, deadline: Deadline) -> None:
        """Write `data` over the beginning of an existing file on the host; the rest of it stays."""

    @abc.abstractmethod
    def get_bytes(self, remote: str, size: int, deadline: Deadline) -> bytes:
        """Return the first `size` bytes of a file on the host; fewer if the file is shorter."""


def _begun_again(work: Callable[[], Result]) -> Result:
    """Call `work`; if it raises `LinkLost`, call it again, `TRIES` times in all."""
    for _ in range(TRIES - 1):
        with suppress(LinkLost):
            return work()
    return work()
