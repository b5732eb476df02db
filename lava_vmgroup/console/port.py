# SPDX-License-Identifier: MIT
"""A board's serial ports: the console, and the records of the others."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import (
    ConfigurationError,
    DeadlineExpired,
    InfrastructureError,
    VMGroupError,
)
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.connections.configured import open_configured
from lava_vmgroup.connections.process import ProcessStream
from lava_vmgroup.connections.program import missing_program
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.other_ports import other_ports_recorded
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.console.watch import Watch

_BANNER_S = 10.0
_FAREWELL_S = 2.0
_NEVER = r"(?!)"
"""A pattern that matches nothing, to wait for the end of a console."""
_TRIES = 3


class Port:
    """The ports of one board; the console can be disconnected and opened again."""

    def __init__(self, recorder: Recorder, watch: Watch | None, log: NodeLog) -> None:
        self._recorder = recorder
        self._watch = watch
        self._log = log
        self._console: Console | None = None
        self._others: ExitStack | None = None

    def open(
        self, config: DeviceConfig, run: Callable[[str, Deadline], None], deadline: Deadline
    ) -> Console:
        """Return the board's console; open it if needed, and try again if it is busy.

        `run` carries out the lab's command of a key, if there is one.
        """
        if self._console is not None:
            return self._console
        check_console(config)
        run("pre_connect_command", deadline)
        self._record_others(config)
        for attempt in range(1, _TRIES + 1):
            try:
                self._console = self._opened(config, deadline)
                return self._console
            except InfrastructureError as error:
                if attempt == _TRIES:
                    raise
                self._log.warning("console", f"no console yet: {error.message}")
                run("reset_port_command", deadline)
                deadline.pause(1.0)
        raise AssertionError("there is at least one try")

    def disconnect(self, farewell: str) -> None:
        """Type `farewell`, if it is not empty, and close the console."""
        console, self._console = self._console, None
        if console is None:
            return
        if farewell:
            limit = Deadline.after("the console to close", _FAREWELL_S)
            with suppress(VMGroupError):
                console.send(farewell, limit)
                console.expect([_NEVER], limit)
        console.close()

    def close(self) -> None:
        """End the records of the other ports."""
        if self._others is not None:
            self._others.close()
            self._others = None

    def _record_others(self, config: DeviceConfig) -> None:
        if self._others is None:
            self._others = ExitStack()
            self._others.enter_context(other_ports_recorded(config, self._recorder, self._log))

    def _opened(self, config: DeviceConfig, deadline: Deadline) -> Console:
        stream = open_configured(config.connection_command, config, deadline)
        with ExitStack() as unwinding:
            console = unwinding.enter_context(Console(stream, self._recorder, watch=self._watch))
            if config.connection_command_pattern and isinstance(stream, ProcessStream):
                self._await_banner(console, config.connection_command_pattern, deadline)
            unwinding.pop_all()
        return console

    def _await_banner(self, console: Console, banner: str, deadline: Deadline) -> None:
        limit = deadline.sub("the console server's welcome", _BANNER_S)
        try:
            console.expect([banner], limit)
        except DeadlineExpired:
            # Not every console server prints a welcome.  If the console is dead, the wait for the
            # boot loader's message fails later.
            deadline.check()
            self._log.debug("console", "the console server said nothing")


def check_console(config: DeviceConfig) -> None:
    """Raise `ConfigurationError` if the dispatcher lacks the program of a console."""
    if program := missing_program(config.connection_command):
        raise ConfigurationError(
            f"{config.place('connection_command')}: there is no program {program!r} here",
            hint="install it, or correct connection_command",
        )
