# SPDX-License-Identifier: MIT
"""The heartbeat, which proves the dispatcher and the host's supervisor to each other.

The rules:

- The dispatcher sends the line ``beat``, and a program of the supervisor answers ``alive``.  So
  both sides notice a link that stays open and forwards nothing.
- If the link breaks off, the dispatcher connects again and beats on.
- If no answer comes for the host's patience (``host_heartbeat_timeout``), the host is lost.
- If the supervisor notices no beat for that time, it removes the VM or ends the job.  Later beats
  get the answer ``ended``, and the host is lost, too.
- A VM that has left nothing on the host sends ``bye``, and the supervisor stops watching it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import DeadlineExpired, InfrastructureError, LinkLost, VMGroupError
from lava_vmgroup.connections.link import LineChannel, Link

_BEATS = 6
"""The least number of beats within the host's patience."""
_LONGEST_PAUSE_S = 5.0
_CLOSE_S = 5.0

Listen = Callable[[Deadline], LineChannel]
"""A function that opens a new channel to the supervisor after a link broke off."""


class Heartbeat:
    """A thread that sends beats until it is stopped or the host is lost."""

    def __init__(
        self,
        channel: LineChannel,
        listen_again: Listen,
        patience_s: float,
        on_loss: Callable[[VMGroupError], None],
        link: Link | None = None,
    ) -> None:
        """Start the thread; after `patience_s` seconds without an answer the host is lost.

        If the host is lost, the thread calls `on_loss` once, and ends.  `stop` closes `link`, if it
        is given: a link of the heartbeat alone.
        """
        self._channel = channel
        self._listen_again = listen_again
        self._link = link
        self._patience_s = patience_s
        self._pause_s = min(_LONGEST_PAUSE_S, patience_s / _BEATS)
        self._on_loss = on_loss
        self._token = CancelToken()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def stop(self, *, leaving: bool = False) -> None:
        """Stop the thread; with `leaving`, also tell the supervisor to stop watching this VM.

        Blocks for some seconds at most.
        """
        self._token.cancel(InfrastructureError("the heartbeat was stopped"))
        if leaving and not self._channel.is_closed:
            self._thread.join(_CLOSE_S)
            with suppress(VMGroupError):
                self._channel.ask("bye", Deadline.after("leaving the host", _CLOSE_S))
        self._channel.close()
        self._thread.join(_CLOSE_S)
        if self._link is not None:
            self._link.close()

    def _beat(self) -> None:
        heard_at = time.monotonic()
        while True:
            limit_s = heard_at + self._patience_s - time.monotonic()
            loss = self._ask(Deadline.after("the host's answer", limit_s, self._token))
            if self._token.reason is not None:
                return
            if loss is not None:
                self._channel.close()
                self._on_loss(loss)
                return
            heard_at = time.monotonic()
            self._token.wait(self._pause_s)

    def _ask(self, deadline: Deadline) -> VMGroupError | None:
        """Beat once, over a new channel if the link breaks off; return the error of a lost host."""
        broken: LinkLost | None = None
        while True:
            try:
                if broken is not None:
                    self._channel = self._listen_again(deadline)
                return None if self._channel.ask("beat", deadline) == "alive" else _given_up()
            except LinkLost as error:
                self._channel.close()
                broken = error
            except DeadlineExpired:
                return self._silent() if broken is None else self._gone(broken)
            except VMGroupError as error:
                return self._gone(broken or error)

    def _silent(self) -> VMGroupError:
        return InfrastructureError(
            f"the host has not answered for {self._patience_s:g} s",
            hint="is it up, and is the network? host_heartbeat_timeout is this limit",
        )

    def _gone(self, error: VMGroupError) -> VMGroupError:
        again = ", and did not come back" if isinstance(error, LinkLost) else ""
        return InfrastructureError(
            f"the connection to the host has ended: {error.message}{again}",
            hint="did the host's SSH server or the host end?",
        )


def _given_up() -> VMGroupError:
    return InfrastructureError(
        "the host's supervisor has ended this node: it heard nothing from here for too long",
        hint="host_heartbeat_timeout of the host's device says how long that is",
    )
