# SPDX-License-Identifier: MIT
"""HTTP connections that a cancel or a deadline ends at any moment."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import DeadlineExpired
from lava_vmgroup.connections.tcp import connect

_CONNECT_S = 30.0


@contextmanager
def session(deadline: Deadline) -> Iterator[requests.Session]:
    """Yield a session; if the work is canceled, its requests end with an error of `requests`."""
    with requests.Session() as made, ExitStack() as resources:
        adapter = _Adapter(deadline, resources)
        for prefix in ("http://", "https://"):
            made.mount(prefix, adapter)
        yield made


class _Adapter(HTTPAdapter):
    def __init__(self, deadline: Deadline, resources: ExitStack) -> None:
        def opened(host: str, port: int) -> socket.socket:
            limit = deadline.sub(f"connecting to {host}:{port}", _CONNECT_S)
            try:
                made = connect(host, port, limit)
            except DeadlineExpired as error:
                deadline.check()
                raise TimeoutError(error.message) from error
            # TLS takes the socket over, so a duplicate is kept to shut the connection down.
            handle = resources.enter_context(made.dup())
            resources.enter_context(deadline.waking(lambda: _shut(handle)))
            return made

        class Plain(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return opened(self.host, self.port or self.default_port)

        class Encrypted(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                return opened(self.host, self.port or self.default_port)

        self._pools = {
            "http": type("Pool", (HTTPConnectionPool,), {"ConnectionCls": Plain}),
            "https": type("Pool", (HTTPSConnectionPool,), {"ConnectionCls": Encrypted}),
        }
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
        """See `HTTPAdapter`."""
        super().init_poolmanager(*arguments, **more)
        self._take(self.poolmanager)

    def proxy_manager_for(self, proxy: Any, **more: Any) -> Any:
        """See `HTTPAdapter`."""
        manager = super().proxy_manager_for(proxy, **more)
        self._take(manager)
        return manager

    def _take(self, manager: PoolManager) -> None:
        manager.pool_classes_by_scheme = self._pools


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
