# SPDX-License-Identifier: MIT
"""The SSH connections to a host: one, and more if its server allows few sessions on each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import paramiko

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, LinkLost
from lava_vmgroup.connections.link import TRIES
from lava_vmgroup.connections.ssh_access import Access, connect
from lava_vmgroup.connections.ssh_channels import CONNECTION_ERRORS, shut

_MOST = 16
"""Limit of connections; a node needs fewer sessions at once."""
_LOOK_S = 0.2


class Connections:
    """The source of sessions on a host, for any thread; it replaces connections that broke off."""

    def __init__(self, transport: paramiko.Transport, access: Access) -> None:
        self._transports: tuple[paramiko.Transport, ...] = (transport,)
        self._access = access
        self._changing = threading.Lock()
        self._closed = False

    @property
    def name(self) -> str:
        """The host as ``user@host:port``, for messages."""
        address = self._access.address
        return f"{address.username}@{address.host}:{address.port}"

    @property
    def patience_s(self) -> int:
        """Seconds for which the host may be out of reach before a use of it fails."""
        return self._access.address.link_patience_s

    @property
    def peer_ip(self) -> str:
        """The IP address of the host."""
        name: tuple[str, int] = self._transports[0].getpeername()
        return name[0]

    def close(self) -> None:
        """Close all connections for good; any thread may call this."""
        self._closed = True
        for transport in self._transports:
            transport.close()

    def session(
        self, deadline: Deadline, request: Callable[[paramiko.Channel], None]
    ) -> paramiko.Channel:
        """Open a session, call `request` to start something in it, and return the session.

        dropbear at times closes a session that was opened while another one ended.  If a session is
        closed before its request is confirmed, nothing has begun in it, so another session is
        tried.  Raises the errors of `request`, `InfrastructureError`, and `LinkLost` when the
        connection broke off before the server confirmed the request: the server may have started
        it.
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
        """Open a session; if no connection allows one more, make another connection."""
        with self._alone(deadline):
            for transport in self._living():
                try:
                    return self._session_on(transport, deadline)
                except paramiko.ChannelException:
                    continue  # as many sessions are open as MaxSessions allows
                except CONNECTION_ERRORS as error:
                    if not has_ended(transport):
                        raise self.failure("opening a channel", error, deadline) from error
            return self._session_on_another(deadline)

    def failure(self, doing: str, error: BaseException, deadline: Deadline) -> Exception:
        """Return the error for a failed use of a connection.

        If `deadline` is over, raises its error instead.
        """
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
        """Make another connection and keep it; its limit is `patience_s`."""
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
    """Return whether a connection has ended; wait up to 0.2 s, as its thread may notice it late."""
    transport.join(_LOOK_S)
    return not transport.is_active()
