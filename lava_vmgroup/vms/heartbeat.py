# SPDX-License-Identifier: MIT
"""The heartbeat: a host's supervisor knows by it that we live, and we that the host does.

Each beat is answered, so a link over which nothing goes any more is noticed by both sides.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from lava_vmgroup.connections.ssh import SshLink
from lava_vmgroup.connections.ssh_channels import LineChannel
from lava_vmgroup.deadline import Deadline
from lava_vmgroup.errors import DeadlineExpired, InfrastructureError, VMGroupError

_BEATS = 6
"""How many beats go into the time that a host is patient."""
_LONGEST_PAUSE_S = 5.0
_CLOSE_S = 5.0


class Heartbeat:
    """Beats in a thread of its own until it is stopped, or the host does not answer."""

    def __init__(
        self,
        channel: LineChannel,
        patience_s: float,
        on_loss: Callable[[VMGroupError], None],
        link: SshLink | None = None,
    ) -> None:
        """`on_loss` is called in the thread, once, when the host was silent for `patience_s`.

        A `link` for the heartbeat alone is closed with it.
        """
        self._channel = channel
        self._link = link
        self._patience_s = patience_s
        self._pause_s = min(_LONGEST_PAUSE_S, patience_s / _BEATS)
        self._on_loss = on_loss
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def stop(self, *, leaving: bool = False) -> None:
        """Beat no more; with `leaving` the supervisor need not look after this VM any more.

        Blocks for some seconds at most.
        """
        self._stopped.set()
        if leaving and not self._channel.is_closed:
            self._thread.join(_CLOSE_S)
            with suppress(VMGroupError):
                self._channel.ask("bye", Deadline.after("leaving the host", _CLOSE_S))
        self._channel.close()
        self._thread.join(_CLOSE_S)
        if self._link is not None:
            self._link.close()

    def _beat(self) -> None:
        limit_s = self._patience_s - self._pause_s
        while True:
            loss: VMGroupError | None = None
            try:
                answer = self._channel.ask("beat", Deadline.after("the host's answer", limit_s))
                if answer != "alive":
                    loss = _given_up()
            except VMGroupError as error:
                loss = self._explained(error)
            if self._stopped.is_set():
                return
            if loss is not None:
                self._channel.close()
                self._on_loss(loss)
                return
            self._stopped.wait(self._pause_s)

    def _explained(self, error: VMGroupError) -> VMGroupError:
        if not isinstance(error, DeadlineExpired):
            return InfrastructureError(
                f"the connection to the host broke off: {error.message}",
                hint="did the host's SSH server or the host end?",
            )
        return InfrastructureError(
            f"the host has not answered for {self._patience_s:g} s",
            hint="is it up, and is the network? host_heartbeat_timeout is this limit",
        )


def _given_up() -> VMGroupError:
    return InfrastructureError(
        "the host's supervisor has ended this node: it heard nothing from here for too long",
        hint="host_heartbeat_timeout of the host's device says how long that is",
    )
