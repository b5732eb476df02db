# SPDX-License-Identifier: MIT
"""The console of a program on the host, over the SSH connection that started the program."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, LinkLost, VMGroupError
from lava_vmgroup.connections.link import Link


class AttachedStream:
    """A `ByteStream` to a program on the host; the program ends if its connection breaks off."""

    def __init__(self, argv: Sequence[str], link: Link, deadline: Deadline) -> None:
        """Start the program `argv` on a terminal of the host."""
        self._stream = link.open_stream(argv, deadline, terminal=True)
        self._link = link
        self._closed = CancelToken()

    def read(self) -> bytes:
        """See `ByteStream.read`.

        If the connection broke off, blocks for up to `Link.patience_s` to wait for the host,
        then raises `LinkLost`.
        """
        data = self._stream.read()
        if not data:
            self._blame_connection()
        return data

    def write(self, data: bytes, deadline: Deadline) -> None:
        """See `ByteStream.write`; if the connection broke off, block and raise as `read` does."""
        try:
            self._stream.write(data, deadline)
        except InfrastructureError:
            self._blame_connection()
            raise

    def close(self) -> None:
        """See `ByteStream.close`."""
        self._closed.cancel(InfrastructureError("the stream was closed"))
        self._stream.close()

    def _blame_connection(self) -> None:
        """If the connection broke off, wait for the host and raise `LinkLost`."""
        if not self._stream.broke_off or self._closed.reason is not None:
            return
        # If the host is gone for good, its heartbeat notices meanwhile, and gives a better reason.
        with suppress(VMGroupError):
            limit = Deadline.after("the host", self._link.patience_s, self._closed)
            self._link.run(["true"], limit)
        raise LinkLost("the connection to the host broke off, and the console with it")
