# SPDX-License-Identifier: MIT
"""A run of ``lava-dispatch``: its logs, its results, its summary and its exit status."""

from __future__ import annotations

import argparse
import logging
import os
import queue
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

from rich.console import Console

from lava_vmgroup.base.errors import (
    Canceled,
    ConfigurationError,
)
from lava_vmgroup.base.log import LOGGER, JsonLinesHandler
from lava_vmgroup.cli.arguments import OUTPUT, STANDARD_ERROR
from lava_vmgroup.cli.display import log_to_terminal
from lava_vmgroup.cli.lava_results import LavaTest
from lava_vmgroup.cli.output_folder import discard_results, locked, writable
from lava_vmgroup.cli.output_txt import OutputText
from lava_vmgroup.cli.signals import canceling, pause
from lava_vmgroup.config.coordinator import Endpoint
from lava_vmgroup.config.lab import Lab
from lava_vmgroup.job.model import VMGroup
from lava_vmgroup.results.model import JobResult
from lava_vmgroup.results.summary import render
from lava_vmgroup.results.writers import write_all
from lava_vmgroup.runner.device_lock import exclusive
from lava_vmgroup.runner.group import GroupRun
from lava_vmgroup.runner.labgrid import watched
from lava_vmgroup.runner.outputs import Outputs


def run(group: VMGroup, lab: Lab, coordinator: Endpoint | None, options: argparse.Namespace) -> int:
    """Wait for the host, run the group's nodes, write the results, and show a summary.

    Return the exit status.
    """
    output = (options.output_dir or OUTPUT).resolve()
    announced: list[str] = []
    level = logging.getLevelNamesMapping()[group.settings.logging_level]
    sub_ids = [node.sub_id for node in group.nodes]
    audience = LavaTest(sub_ids) if options.inside_lava else Terminal(level)
    unwritten: Exception | None = None
    early: queue.SimpleQueue[Canceled] = queue.SimpleQueue()
    with canceling(early.put):
        with audience.showing(), ExitStack() as using:
            # The process that uses the host may log to the same folder.  Its message is the better
            # one, and one can wait for the host, so lock the host first.
            what, waiting = f"job {group.settings.name!r}", partial(pause, early)
            lab = using.enter_context(
                exclusive(lab, what, output, limit_s=options.wait, pause=waiting)
            )
            using.enter_context(locked(output))
            discard_results(output)
            with _logs_in(output) as text:
                outputs = Outputs(
                    folder=output,
                    announce=announced.append,
                    # The consoles of a whole group would mix their lines.
                    console_copy=text.console if group.is_sub_job else None,
                )
                job_id = options.job_id or group.nodes[0].job_id
                run = GroupRun(group, lab, job_id, outputs, coordinator)
                with canceling(run.cancel), watched(lab.device, run.fail):
                    while not early.empty():
                        run.cancel(early.get())
                    result = run.run()
            try:
                write_all(result, output)
            except Exception as error:  # noqa: BLE001 - it is raised after the summary
                unwritten = error
        status = audience.end(result, unwritten=unwritten)
    if unwritten is not None:
        raise unwritten
    _announce(announced, options.oob_fd)
    return status


class Terminal:
    """The user at a terminal, or the readers of a log file."""

    def __init__(self, level: int) -> None:
        self._level = level

    def showing(self) -> AbstractContextManager[None]:
        """Show the events of a block."""
        return log_to_terminal(self._level, sys.stderr)

    def end(self, result: JobResult, *, unwritten: Exception | None = None) -> int:
        """Show the summary, and return the exit status."""
        Console().print(render(result, unwritten=unwritten))
        return result.exit_status


@contextmanager
def _logs_in(output: Path) -> Iterator[OutputText]:
    """Write the events within the block to ``events.jsonl``, and to ``output.txt`` for LAVA."""
    with writable(output):
        text = OutputText(output)
        handlers = (text, JsonLinesHandler(output / "events.jsonl"))
    LOGGER.setLevel(logging.DEBUG)
    for handler in handlers:
        LOGGER.addHandler(handler)
    try:
        yield text
    finally:
        for handler in handlers:
            LOGGER.removeHandler(handler)
            handler.close()


def _announce(lines: Sequence[str], descriptor: int) -> None:
    """Write the lines about submitted results to the descriptor that a LAVA scheduler reads."""
    text = "".join(f"{line}\n" for line in lines)
    if descriptor == STANDARD_ERROR:
        sys.stderr.write(text)
        return
    try:
        os.write(descriptor, text.encode())
    except OSError as error:
        raise ConfigurationError(
            f"cannot write to file descriptor {descriptor}: {error.strerror}",
            hint="give --oob-fd one that is open",
        ) from error
