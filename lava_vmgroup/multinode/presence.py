# SPDX-License-Identifier: MIT
"""A member's presence at the coordinator: a connection that stays open while the member lives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import PeerFailed, VMGroupError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.multinode.exchange import FIRST_RETRY_S, LAST_RETRY_S, exchanging
from lava_vmgroup.multinode.frames import FrameError, encode_frame

OnEnd = Callable[[PeerFailed], None]
"""Callback for the end of the group; the presence thread calls it with the reason."""

_FOREVER = Deadline("the watch over the group", float("inf"), float("inf"))


class _Left(VMGroupError):
    """The reason with which `_Presence.leave` cancels the presence thread."""


@contextmanager
def present(
    address: tuple[str, int], first: Mapping[str, Any], again: Mapping[str, Any], on_end: OnEnd
) -> Iterator[None]:
    """Hold a member's presence within the block, in a thread of its own.

    `first` is the first request, `again` the request after the connection broke off.  The block
    is entered when `first` was sent, or after a second without a connection.  Leaving the block
    ends the thread, and waits for `on_end` if that is running.
    """
    presence = _Presence(address, first, again, on_end)
    thread = threading.Thread(target=presence.hold, name=f"{first['client_name']}-presence")
    thread.start()
    try:
        presence.announced.wait(LAST_RETRY_S)
        yield
    finally:
        presence.leave()
        thread.join()


class _Presence:
    def __init__(
        self,
        address: tuple[str, int],
        first: Mapping[str, Any],
        again: Mapping[str, Any],
        on_end: OnEnd,
    ) -> None:
        self._address = address
        self._frame = encode_frame(first)
        self._again = encode_frame(again)
        self._on_end = on_end
        self._told = False
        self.announced = threading.Event()
        self._token = CancelToken()
        self._log = NodeLog(first["client_name"])

    def leave(self) -> None:
        """End the presence from another thread; `hold` then returns."""
        self._token.cancel(_Left("the member has left"))

    def hold(self) -> None:
        """Keep a connection open until `leave`, and open it again when it breaks off.

        Returns early if the coordinator refuses the watch.
        """
        retry_s = FIRST_RETRY_S
        try:
            while True:
                began = time.monotonic()
                try:
                    self._stay()
                except OSError as error:
                    self._log.debug("multinode-retry", f"not seen by the coordinator: {error}")
                if time.monotonic() - began > LAST_RETRY_S:
                    retry_s = FIRST_RETRY_S
                self._token.wait(retry_s)
                self._token.check()
                retry_s = min(2 * retry_s, LAST_RETRY_S)
        except _Left:
            pass
        except FrameError as error:
            self._log.debug("multinode", f"nobody watches over the group: {error}")

    def _stay(self) -> None:
        """Open one connection, and call `on_end` once if the coordinator reports the group's end.

        Blocks until the connection closes.  Raises `OSError` if there is none or it breaks off,
        `FrameError` if the coordinator refuses the watch.
        """
        with exchanging(self._address, self._token, _FOREVER) as exchange:
            frame, self._frame = self._frame, self._again
            exchange.send(frame)
            self.announced.set()
            reply = exchange.reply()
            if not reply.failed:
                raise FrameError(reply.reason or "the coordinator does not know how")
            if not self._told:
                self._told = True
                text = f"the group has ended: {blame(reply.failed)}"
                self._on_end(PeerFailed(text, canceled=reply.canceled))
            exchange.until_closed()


SHOWN = 1000
"""Characters of another member's reason that a message quotes; it may be of any length."""


def blame(failed: Mapping[str, str]) -> str:
    """Return the failed members and their reasons as text for a message."""
    return "; ".join(f"{name} failed: {why[:SHOWN]}" for name, why in failed.items())
