# SPDX-License-Identifier: MIT
"""A member's side of the MultiNode protocol: calls that block until the group lets them go.

A coordinator that knows of holds answers once; any other says ``wait`` and is asked again.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from lava_vmgroup.cancel import CancelToken
from lava_vmgroup.deadline import Deadline
from lava_vmgroup.errors import (
    DeadlineExpired,
    InfrastructureError,
    MultiNodeError,
    PeerFailed,
    WaitExpired,
)
from lava_vmgroup.log import NodeLog
from lava_vmgroup.multinode.wire import (
    REPLY_LIMIT,
    Command,
    FrameDecoder,
    FrameError,
    Reply,
    Response,
    encode_frame,
)

CHUNK = 65536
BLOCKSIZE = 4096
"""LAVA's name for its clients' chunk; every request names it, nobody looks at it."""
FIRST_RETRY_S = 0.05
LAST_RETRY_S = 1.0

Received = dict[str, dict[str, str]]
"""What a wait brings: sender, then key, then value."""


class MultiNodeClient:
    """Speaks for one member of a group; every call may be made from any thread.

    Every call blocks until it is answered and raises the deadline's error when that passes, the
    token's reason when that is canceled, `PeerFailed` when it was given up because another
    member failed, `MultiNodeError` when the coordinator refuses the request and
    `InfrastructureError` when the coordinator is not to be reached until the deadline.
    """

    def __init__(
        self,
        address: tuple[str, int],
        *,
        group_name: str,
        group_size: int,
        client_name: str,
        role: str,
        token: CancelToken | None = None,
        poll_delay_s: float = 1.0,
    ) -> None:
        """`poll_delay_s` is for coordinators that do not know of holds."""
        self._address = address
        self._group_name = group_name
        self._group_size = group_size
        self._client_name = client_name
        self._role = role
        self._token = token or CancelToken()
        self._poll_delay_s = poll_delay_s
        self._log = NodeLog(client_name)

    def with_token(self, token: CancelToken) -> MultiNodeClient:
        """The same member under another token, for what has to be said after a cancel."""
        return MultiNodeClient(
            self._address,
            group_name=self._group_name,
            group_size=self._group_size,
            client_name=self._client_name,
            role=self._role,
            token=token,
            poll_delay_s=self._poll_delay_s,
        )

    def group_data(self, deadline: Deadline) -> dict[str, str]:
        """Wait until the group is complete; each member's role."""
        reply = self._call(Command.GROUP_DATA, deadline, group_size=self._group_size)
        if reply.roles is None:
            raise MultiNodeError(f"{self._place()} did not say who is in {self._group_name!r}")
        return dict(reply.roles)

    def send(self, message_id: str, data: Mapping[str, str], deadline: Deadline) -> None:
        """Send `data` to all members that are in the group."""
        self._call(Command.SEND, deadline, messageID=message_id, message=dict(data))

    def wait(self, message_id: str, deadline: Deadline) -> Received:
        """Wait until anybody, this member included, has sent the message."""
        return _received(self._wait_for(Command.WAIT, deadline, messageID=message_id))

    def wait_all(self, message_id: str, deadline: Deadline, role: str | None = None) -> Received:
        """Wait until all members, or all that have `role`, have sent the message.

        All members include this one: it has to send before it waits.
        """
        fields = {"messageID": message_id} | ({} if role is None else {"waitrole": role})
        return _received(self._wait_for(Command.WAIT_ALL, deadline, **fields))

    def sync(self, message_id: str, deadline: Deadline) -> None:
        """Wait until all members have entered this sync."""
        self._wait_for(Command.SYNC, deadline, messageID=message_id)

    def fail(self, reason: str, deadline: Deadline) -> bool:
        """Have the others' waits given up, because this member has failed.

        False if the coordinator does not know how; the others then wait for their deadlines.
        """
        try:
            self._call(Command.FAILED, deadline, group_size=self._group_size, reason=reason)
        except MultiNodeError as error:
            self._log.warning("multinode", f"the group was not told of the failure: {error}")
            return False
        return True

    def clear(self, deadline: Deadline) -> None:
        """Leave the group; it goes when all members have left."""
        self._call(Command.CLEAR_GROUP, deadline, group_size=self._group_size)

    def _wait_for(self, command: Command, deadline: Deadline, **fields: Any) -> Reply:
        try:
            return self._call(command, deadline, **fields)
        except DeadlineExpired as error:
            raise WaitExpired(error.message, last_lines=error.last_lines) from error

    def _call(self, command: Command, deadline: Deadline, **fields: Any) -> Reply:
        """Ask until there is an answer other than ``wait``."""
        request = {**self._base(deadline), "request": command.value, **fields}
        retry_s = FIRST_RETRY_S
        while True:
            deadline.check()
            try:
                reply = self._exchange(encode_frame(request), deadline)
            except OSError as error:
                self._log.debug("multinode-retry", f"{self._place()} did not answer: {error}")
                self._pause(retry_s, deadline)
                if deadline.expired:
                    raise self._unreachable(command, deadline, error) from error
                retry_s = min(2 * retry_s, LAST_RETRY_S)
                continue
            except FrameError as error:
                raise InfrastructureError(
                    f"{self._place()} is not a coordinator: {error}",
                    hint="check the coordinator's address",
                ) from error
            if reply.response is Response.NACK:
                raise self._refusal(request, reply)
            if reply.response is not Response.WAIT:
                return reply
            self._pause(self._poll_delay_s, deadline)

    def _base(self, deadline: Deadline) -> dict[str, Any]:
        """What LAVA's clients say in every request, and that this one can be held."""
        host, port = self._address
        return {
            "port": port,
            "blocksize": BLOCKSIZE,
            "poll_delay": self._poll_delay_s,
            "timeout": deadline.limit_s,
            "host": host,
            "client_name": self._client_name,
            "group_name": self._group_name,
            "hostname": socket.gethostname(),
            "role": self._role,
            "hold": True,
        }

    def _exchange(self, frame: bytes, deadline: Deadline) -> Reply:
        """One connection: send the frame, take the reply; raises `OSError` and `FrameError`."""
        with _connection(self._address) as connection, _watch(self._token, deadline) as watch:
            _finish_connecting(connection, watch)
            while frame:
                watch.until(connection, selectors.EVENT_WRITE)
                frame = frame[connection.send(frame) :]
            decoder = FrameDecoder(REPLY_LIMIT)
            complete = False
            while not complete:
                watch.until(connection, selectors.EVENT_READ)
                chunk = connection.recv(CHUNK)
                if not chunk:
                    raise ConnectionError("the connection was closed without an answer")
                complete = decoder.feed(chunk)
            return Reply.parse(decoder.value)

    def _pause(self, pause_s: float, deadline: Deadline) -> None:
        self._token.wait(min(pause_s, deadline.remaining_s))
        self._token.check()

    def _place(self) -> str:
        host, port = self._address
        return f"the coordinator at {host}:{port}"

    def _unreachable(
        self, command: Command, deadline: Deadline, error: OSError
    ) -> InfrastructureError:
        return InfrastructureError(
            f"{self._client_name}: {self._place()} did not answer {command.value} "
            f"within {deadline.limit_s:g} s ({deadline.name}): {error}",
            hint="check that the coordinator runs and can be reached",
        )

    def _refusal(self, request: Mapping[str, Any], reply: Reply) -> MultiNodeError:
        named = f" {request['messageID']!r}" if "messageID" in request else ""
        what = f"{request['request']}{named} of {self._client_name}"
        if reply.failed:
            causes = "; ".join(f"{name} failed: {why}" for name, why in reply.failed.items())
            return PeerFailed(f"{what} was given up: {causes}")
        why = f": {reply.reason}" if reply.reason else ""
        return MultiNodeError(f"{self._place()} refused {what} in group {self._group_name!r}{why}")


@contextmanager
def _connection(address: tuple[str, int]) -> Iterator[socket.socket]:
    """A socket that does not block and has begun to connect; looking a name up may block."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.setblocking(False)
        with suppress(BlockingIOError):
            connection.connect(address)
        yield connection


def _finish_connecting(connection: socket.socket, watch: _Watch) -> None:
    watch.until(connection, selectors.EVENT_WRITE)
    code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))
    if connection.getsockname() == connection.getpeername():
        # A port that nobody listens on may be the one that the system has picked for this end,
        # and loopback then connects the socket to itself.
        raise ConnectionError("nobody listens")


@dataclass(frozen=True, slots=True)
class _Watch:
    """Waits for a socket, a cancel or a deadline, whichever comes first."""

    token: CancelToken
    deadline: Deadline
    woken: socket.socket

    def until(self, connection: socket.socket, event: int) -> None:
        """Return when `connection` is ready for `event`; raises the reason or the timeout."""
        with selectors.DefaultSelector() as selector:
            selector.register(connection, event)
            selector.register(self.woken, selectors.EVENT_READ)
            ready = selector.select(self.deadline.remaining_s)
        self.token.check()
        if not any(key.fileobj is connection for key, _ in ready):
            raise self.deadline.error()


@contextmanager
def _watch(token: CancelToken, deadline: Deadline) -> Iterator[_Watch]:
    woken, waker = socket.socketpair()

    def wake() -> None:
        # The token may call this a moment after the call has ended and closed the pair.
        with suppress(OSError):
            waker.send(b"\0")

    with woken, waker, token.waking(wake):
        yield _Watch(token, deadline, woken)


def _received(reply: Reply) -> Received:
    if not isinstance(reply.message, dict) or not all(
        isinstance(data, dict) for data in reply.message.values()
    ):
        raise MultiNodeError(f"a coordinator answered a wait with {str(reply.message)[:60]!r}")
    return {
        sender: {key: _value(value) for key, value in data.items()}
        for sender, data in reply.message.items()
    }


def _value(value: Any) -> str:
    """A value as text; other programs may send more than texts."""
    return value if isinstance(value, str) else json.dumps(value)
