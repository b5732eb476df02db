# SPDX-License-Identifier: MIT
"""``lava-dispatch doctor``: check that this lab can run a job, before the job is run."""

from __future__ import annotations

import argparse
import io
import logging
import queue
import sys
import threading
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lava_vmgroup import actions
from lava_vmgroup.base.cancel import CancelToken, next_item
from lava_vmgroup.base.errors import Canceled, JobError
from lava_vmgroup.base.findings import Finding, Severity
from lava_vmgroup.base.log import LOGGER
from lava_vmgroup.base.text import json_text
from lava_vmgroup.cli.arguments import DOCTOR
from lava_vmgroup.cli.devices import given_device, host_device
from lava_vmgroup.cli.display import log_to_terminal
from lava_vmgroup.cli.inside_lava import harmless, raised, refusals_told, say, settle
from lava_vmgroup.cli.output import print_document
from lava_vmgroup.cli.signals import canceling, pause
from lava_vmgroup.config import files
from lava_vmgroup.config.dispatcher import load_dispatcher
from lava_vmgroup.config.lab import Lab
from lava_vmgroup.doctor import dispatcher
from lava_vmgroup.doctor.examination import Examined, examine
from lava_vmgroup.job import expand, load_document, parse_job
from lava_vmgroup.job.model import VMGroup
from lava_vmgroup.job.sub_job import is_sub_job
from lava_vmgroup.results.printable import one_line
from lava_vmgroup.runner.admission import admit_job
from lava_vmgroup.runner.device_lock import exclusive
from lava_vmgroup.runner.labgrid import watched

_STYLES = {Severity.OK: "green", Severity.DEGRADED: "yellow", Severity.MISSING: "red"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    """All findings, those of the dispatcher and those of the host."""

    findings: Mapping[str, Sequence[Finding]]
    not_looked_at: Sequence[str]

    @property
    def exit_status(self) -> int:
        """The exit status of the first thing that is missing; 0 if nothing is."""
        everything = (one for findings in self.findings.values() for one in findings)
        missing = (one.exit_status for one in everything if one.severity is Severity.MISSING)
        return next(missing, 0)


def examine_lab(options: argparse.Namespace) -> int:
    """Check the lab for a job, print the findings, and return the exit status.

    Raises a `VMGroupError` if the checks cannot begin, such as for an invalid job.
    """
    settle(options)
    with refusals_told(options):
        report = _examine_lab(options)
    if options.json:
        text = json_text(_data(report), indent=2) + "\n"
        # No text may look like one of LAVA's markers.
        print_document(text.replace("<LAVA_", "\\u003cLAVA_"))
    elif options.inside_lava:
        shown = io.StringIO()
        _show(report, Console(file=shown))
        print_document(harmless(shown.getvalue()))
    else:
        _show(report, Console())
    if options.inside_lava and report.exit_status:
        say(raised(report.exit_status, "the doctor says that something is missing"))
    return report.exit_status


def _examine_lab(options: argparse.Namespace) -> _Report:
    schemas = actions.parameter_schemas()
    document = load_document(options.job, schemas)
    if is_sub_job(document):
        raise JobError(f"{options.job} is a sub-job", hint="give the whole job")
    job = parse_job(document, options.job.resolve().parent, schemas)
    search_path = files.search_path(options.config_dir)
    given = given_device(options, search_path, job.host.device_type)
    admit_job(job, search_path, given)
    group = expand(job, job_id="0", target_group=str(uuid.uuid4()))
    device = host_device(job.host.device_type, search_path, options, options.target, given)
    lab = Lab(
        device=device,
        dispatcher=load_dispatcher(search_path),
        search_path=search_path,
    )
    LOGGER.setLevel(logging.DEBUG)
    level = logging.INFO if options.boot else logging.ERROR
    what = f"lava-dispatch {DOCTOR}"
    is_used = options.boot or device.is_shared_out
    early: queue.SimpleQueue[Canceled] = queue.SimpleQueue()
    with log_to_terminal(level, sys.stderr), canceling(early.put), ExitStack() as using:
        if is_used:
            waiting = partial(pause, early)
            lab = using.enter_context(exclusive(lab, what, options.output_dir, pause=waiting))
        examined = _examine(group, lab, options.output_dir, boot=options.boot)
    return _Report(
        findings={
            "dispatcher": dispatcher.look(group, lab.dispatcher, device),
            "host": examined.findings,
        },
        not_looked_at=examined.not_looked_at,
    )


def _examine(group: VMGroup, lab: Lab, output: Path | None, *, boot: bool) -> Examined:
    """Check the host in a thread of its own: a signal cancels it, and it still cleans up."""
    inbox: queue.SimpleQueue[Examined | BaseException] = queue.SimpleQueue()
    token = CancelToken()

    def work() -> None:
        try:
            inbox.put(examine(group, lab, output, token, boot=boot))
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            inbox.put(error)

    worker = threading.Thread(target=work, name=DOCTOR)
    with canceling(inbox.put), watched(lab.device, token.cancel):
        worker.start()
        event = next_item(inbox)
        if isinstance(event, Canceled) and token.reason is None:
            token.cancel(event)
        worker.join()
    if isinstance(event, BaseException):
        raise event
    return event


def _data(report: _Report) -> dict[str, object]:
    return {
        "findings": [
            {
                "where": where,
                "what": one.what,
                "severity": one.severity.value,
                "found": one.found,
                "remedy": one.remedy,
            }
            for where, findings in report.findings.items()
            for one in findings
        ],
        "not_looked_at": list(report.not_looked_at),
        "exit_status": report.exit_status,
    }


def _show(report: _Report, console: Console) -> None:
    table = Table()
    for heading in ("where", "what", "", "found"):
        table.add_column(heading, overflow="fold")
    for where, findings in report.findings.items():
        for one in findings:
            words = [one.found, f"-> {one.remedy}"] if one.remedy else [one.found]
            table.add_row(
                where,
                Text(one_line(one.what)),
                Text(one.severity.value, _STYLES[one.severity]),
                Text("\n".join(map(one_line, words))),
            )
    console.print(table)
    for name in report.not_looked_at:
        console.print(Text(one_line(f"not looked at: {name}")))
    status = report.exit_status
    ending = "the job cannot be run" if status else "the job can be run"
    console.print(Text(f"exit status {status}: {ending}", "bold red" if status else "bold green"))
