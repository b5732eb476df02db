# SPDX-License-Identifier: MIT
"""The connections to a host: one, and more where its server allows few sessions on each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import paramiko

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, LinkLost
from lava_vmgroup.connections.ssh_access import Access, connect
from lava_vmgroup.connections.ssh_channels import CONNECTION_ERRORS, shut

TRIES = 3
"""Number of times that an operation is begun, as its connection may break off."""
_MOST = 16
"""More connections than a node needs sessions at once."""
_LOOK_S = 0.2


class Connections:
    """Opens sessions on a host, for any thread; a connection that has broken off is made again."""

    def __init__(self, transport: paramiko.Transport, access: Access) -> None:
        self._transports: tuple[paramiko.Transport, ...] = (transport,)
        self._access = access
        self._changing = threading.Lock()
        self._closed = False

    @property
    def name(self) -> str:
        """The other end, for messages."""
        address = self._access.address
        return f"{address.username}@{address.host}:{address.port}"

    @property
    def patience_s(self) -> int:
        """Seconds that the host may be out of reach before its users give it up."""
        return self._access.address.link_patience_s

    @property
    def peer_ip(self) -> str:
        """The IP address of the host."""
        name: tuple[str, int] = self._transports[0].getpeername()
        return name[0]

    def close(self) -> None:
        """Close all connections for good; from any thread."""
        self._closed = True
        for transport in self._transports:
            transport.close()

    def session(
        self, deadline: Deadline, request: Callable[[paramiko.Channel], None]
    ) -> paramiko.Channel:
        """Open a session, and have the server start something in it by `request`.

        dropbear at times closes a session that was opened while another one ended.  Nothing has
        begun in a session that is closed before its request is confirmed, so it is asked for again.
        Raises what `request` raises, `InfrastructureError`, and `LinkLost` when the connection
        broke off before the server confirmed, which may have started it.
        """
        tries_left = TRIES
        while True:
            tries_left -= 1
            channel = self._open(deadline)
            try:
                with deadline.ending(partial(shut, channel)):
                    request(channel)
                return channel
            except (*CONNECTION_ERRORS, InfrastructureError) as error:
                shut(channel)
                deadline.check()
                if has_ended(channel.get_transport()):
                    raise LinkLost(f"{self.name} broke off while a command began there") from error
                if not tries_left:
                    raise
            except BaseException:
                shut(channel)
                raise

    def _open(self, deadline: Deadline) -> paramiko.Channel:
        """Open a session, over another connection where those that there are have no more."""
        with self._alone(deadline):
            for transport in self._living():
                try:
                    return self._session_on(transport, deadline)
                except paramiko.ChannelException:
                    continue  # as many as MaxSessions allows are open
                except CONNECTION_ERRORS as error:
                    if not has_ended(transport):
                        raise self.failure("opening a channel", error, deadline) from error
            return self._session_on_another(deadline)

    def failure(self, doing: str, error: BaseException, deadline: Deadline) -> Exception:
        """The error to raise for a failed use: a cancel, a deadline, or the link's failure."""
        deadline.check()
        return InfrastructureError(f"{doing} over {self.name} failed: {error or 'closed'}")

    def _living(self) -> tuple[paramiko.Transport, ...]:
        return tuple(one for one in self._transports if one.is_active())

    @contextmanager
    def _alone(self, deadline: Deadline) -> Iterator[None]:
        # paramiko mixes up the failures of threads that open channels at the same time.
        while not self._changing.acquire(timeout=_LOOK_S):
            deadline.check()
        try:
            deadline.check()
            yield
        finally:
            self._changing.release()

    def _session_on(self, transport: paramiko.Transport, deadline: Deadline) -> paramiko.Channel:
        return transport.open_session(timeout=min(deadline.remaining_s, self.patience_s))

    def _session_on_another(self, deadline: Deadline) -> paramiko.Channel:
        tries_left = TRIES
        while True:
            transport = self._another(deadline)
            tries_left -= 1
            try:
                return self._session_on(transport, deadline)
            except paramiko.ChannelException as error:
                raise InfrastructureError(
                    f"the SSH server of {self.name} allows no session: {error.text}",
                    hint="set MaxSessions in sshd_config there to 1 or more; 10 is usual",
                ) from error
            except CONNECTION_ERRORS as error:
                if not has_ended(transport):
                    raise self.failure("opening a channel", error, deadline) from error
                if not tries_left:
                    raise self._thrown_out(deadline) from error

    def _another(self, deadline: Deadline) -> paramiko.Transport:
        living = self._living()
        if self._closed:
            raise InfrastructureError(f"the connection to {self.name} is closed")
        if len(living) == _MOST:
            raise InfrastructureError(f"{self.name} has {_MOST} connections, and no session more")
        again = "" if living else " again"
        limit = deadline.exactly(f"{self.name} to be reached{again}", self.patience_s)
        transport = connect(self._access, limit)
        self._transports = (*living, transport)
        if self._closed:
            transport.close()
        return transport

    def _thrown_out(self, deadline: Deadline) -> InfrastructureError:
        deadline.check()
        return InfrastructureError(
            f"the SSH server of {self.name} ends the connection after the login",
            hint=self._access.why_refused
            or "its log says why, such as PermitRootLogin forced-commands-only in sshd_config",
        )


def has_ended(transport: paramiko.Transport) -> bool:
    """Return whether a connection has ended; its thread may need a moment to notice."""
    transport.join(_LOOK_S)
    return not transport.is_active()
