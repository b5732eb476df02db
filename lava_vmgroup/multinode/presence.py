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
from lava_vmgroup.multinode.wire import FrameError, encode_frame

OnEnd = Callable[[PeerFailed], None]
"""Is told, in a thread of the watch, why the group has ended."""

_FOREVER = Deadline("the watch over the group", float("inf"), float("inf"))


class _Left(VMGroupError):
    """The member holds its presence no longer."""


@contextmanager
def present(
    address: tuple[str, int], first: Mapping[str, Any], again: Mapping[str, Any], on_end: OnEnd
) -> Iterator[None]:
    """Hold the presence of a member within the block, in a thread.

    `first` is the request to make, `again` the one after the connection broke off.  The block
    is entered when `first` was sent, or after a second without a connection.  Leaving it waits
    for `on_end` if that is under way.
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
        self._token.cancel(_Left("the member has left"))

    def hold(self) -> None:
        """Be there until `leave`, or until the coordinator does not want to know."""
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
        """Be there until the connection breaks off, which may be an `OSError`."""
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
"""Characters of a reason; others give them."""


def blame(failed: Mapping[str, str]) -> str:
    """Who failed, and why, for a message."""
    return "; ".join(f"{name} failed: {why[:SHOWN]}" for name, why in failed.items())
