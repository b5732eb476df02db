# SPDX-License-Identifier: MIT
"""The console of a program on the host, over the one connection that has started it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, LinkLost, VMGroupError
from lava_vmgroup.connections.ssh import SshLink


class AttachedStream:
    """A `ByteStream` to a program that ends with the connection which attached to it."""

    def __init__(self, argv: Sequence[str], link: SshLink, deadline: Deadline) -> None:
        """Start a program on the host, on a terminal there."""
        self._stream = link.open_stream(argv, deadline, terminal=True)
        self._link = link
        self._closed = CancelToken()

    def read(self) -> bytes:
        """See `ByteStream.read`; blocks for as long as a lost host may take to come back."""
        data = self._stream.read()
        if not data:
            self._blame_connection()
        return data

    def write(self, data: bytes, deadline: Deadline) -> None:
        """See `ByteStream.write`; blocks and raises as `read` does when the connection is lost."""
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
        if not self._stream.broke_off or self._closed.reason is not None:
            return
        # A host that is gone for good is the better reason, and its heartbeat finds it out.
        with suppress(VMGroupError):
            limit = Deadline.after("the host", self._link.patience_s, self._closed)
            self._link.run(["true"], limit)
        raise LinkLost("the connection to the host broke off, and the console with it")
