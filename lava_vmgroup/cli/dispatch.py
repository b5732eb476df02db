# SPDX-License-Identifier: MIT
"""``lava-dispatch``: the command line, the signals, and the exit status."""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import queue
import re
import sys
import traceback
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rich.console import Console

from lava_vmgroup import __version__, actions
from lava_vmgroup.base.errors import (
    Canceled,
    ConfigurationError,
    DeviceInUse,
    JobError,
    VMGroupError,
)
from lava_vmgroup.base.log import LOGGER, JsonLinesHandler
from lava_vmgroup.cli import doctor, output_txt
from lava_vmgroup.cli.display import log_to_terminal
from lava_vmgroup.cli.output import lasting_output, print_document
from lava_vmgroup.cli.output_txt import OutputText
from lava_vmgroup.cli.signals import canceling, pause
from lava_vmgroup.config import files
from lava_vmgroup.config.coordinator import Endpoint, find_coordinator_config
from lava_vmgroup.config.dispatcher import load_dispatcher
from lava_vmgroup.config.inventory import backend_type, find_device
from lava_vmgroup.job import expand, load_document, parse_job, to_document
from lava_vmgroup.job.model import Group
from lava_vmgroup.job.schema import NAME_PATTERN
from lava_vmgroup.job.sub_job import Assignment, is_sub_job, parse_sub_job
from lava_vmgroup.nodes.shared import Lab
from lava_vmgroup.results.printable import printable
from lava_vmgroup.results.summary import render
from lava_vmgroup.results.writers import write_all
from lava_vmgroup.runner.admission import admit_job, admit_sub_job
from lava_vmgroup.runner.device_lock import exclusive
from lava_vmgroup.runner.group import GroupRun

_EPILOG = """\
exit status: 0 everything ran and passed, 1 test cases failed, 2 the job is wrong, 3 the
configuration is wrong, 4 the infrastructure failed, 5 a time limit passed, 6 the group did not
work together, 7 the test shell broke, 70 a bug of this program, 130 and 143 canceled by SIGINT
and SIGTERM; with a sub-job, failed test cases are no reason for 1, as LAVA's scheduler wants it
"""

_OUTPUT = Path("results")
_STANDARD_ERROR = 2
_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?")


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``lava-dispatch`` and return its exit status."""
    with lasting_output():
        return _main(sys.argv[1:] if argv is None else argv)


def _main(words: Sequence[str]) -> int:
    try:
        if words[:1] == [doctor.WORD]:
            return doctor.run(words[1:])
        return _dispatch(parse(words))
    except VMGroupError as error:
        _complain(error)
        return error.status if isinstance(error, Canceled) else error.exit_status
    except Exception:  # noqa: BLE001 - a bug must not look like any other end
        sys.stderr.write(printable(traceback.format_exc()))
        return VMGroupError.exit_status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lava-dispatch",
        description="Run a VM group: a host board and its virtual machines as one test job.",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "job",
        type=Path,
        metavar="JOB",
        help="the job file, JSON or YAML; or a sub-job, whose one node is run; "
        f"{doctor.WORD!r} is a command, see lava-dispatch {doctor.WORD} --help, and a job "
        f"file of that name is ./{doctor.WORD}",
    )
    only = parser.add_mutually_exclusive_group()
    only.add_argument(
        "--validate", action="store_true", help="only check the job; touches no device"
    )
    only.add_argument(
        "--dry-run",
        action="store_true",
        help="only print the expanded sub-jobs as a JSON list; needs no devices and no images",
    )
    only.add_argument(
        "--expand-to",
        type=Path,
        metavar="DIR",
        help="only write each sub-job to a file in DIR, to be run by a lava-dispatch of its own",
    )
    parser.add_argument(
        "--output-dir",
        type=Path,
        metavar="DIR",
        help=f"where results and logs go (default: {_OUTPUT})",
    )
    parser.add_argument(
        "--config-dir",
        type=Path,
        metavar="DIR",
        help="read devices and device types here instead of in /etc/lava-dispatcher and "
        "~/.config/lava-dispatcher",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="a device configuration above all others"
    )
    parser.add_argument(
        "--coordinator",
        type=Path,
        metavar="FILE",
        help="where the members of a sub-job's group meet, a file like lava-coordinator.conf "
        "(default: that of the configuration, else /etc/lava-coordinator/lava-coordinator.conf)",
    )
    parser.add_argument(
        "--target", metavar="NAME", help="the device to use as the host, or the name of the VM"
    )
    parser.add_argument(
        "--wait",
        type=_seconds,
        nargs="?",
        const=math.inf,
        default=0.0,
        metavar="SECONDS",
        help="queue while another process uses the host's device, for that time or without a "
        "limit (default: end with status 4)",
    )
    parser.add_argument(
        "--job-id",
        type=_job_id,
        metavar="ID",
        help="the job's number (default: 0, or what the sub-job says)",
    )
    parser.add_argument(
        "--oob-fd",
        type=int,
        default=_STANDARD_ERROR,
        metavar="N",
        help="the file descriptor for what a LAVA scheduler is told of submitted results "
        "(default: %(default)s)",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Parse the command line of a run; like argparse, exit for ``--help`` or a wrong option."""
    return _parser().parse_args(_with_limit(words))


def _with_limit(words: Sequence[str]) -> list[str]:
    """Add ``=inf`` to a ``--wait`` without a number: else argparse takes the job's file for it."""
    return [
        f"{word}={math.inf}" if word == "--wait" and not _NUMBER.fullmatch(after) else word
        for word, after in zip_longest(words, words[1:], fillvalue="")
    ]


def _seconds(text: str) -> float:
    if text != str(math.inf) and not _NUMBER.fullmatch(text):
        raise argparse.ArgumentTypeError("expected a number of seconds")
    return float(text)


def _job_id(text: str) -> str:
    if not re.fullmatch(NAME_PATTERN, text):
        raise argparse.ArgumentTypeError("expected letters, digits, '_', '.' and '-'")
    return text


def _dispatch(options: argparse.Namespace) -> int:
    schemas = actions.parameter_schemas()
    document = load_document(options.job, schemas)
    folder = options.job.resolve().parent
    if is_sub_job(document):
        try:
            return _dispatch_sub_job(document, folder, options)
        except (ConfigurationError, DeviceInUse, Canceled) as error:
            output_txt.add_refusal(options.output_dir or _OUTPUT, error)
            raise
    job = parse_job(document, folder, schemas)
    group = expand(job, job_id=options.job_id or "0", target_group=str(uuid.uuid4()))
    if options.dry_run:
        documents = [to_document(group, node) for node in group.nodes]
        print_document(json.dumps(documents, indent=2) + "\n")
        return 0
    if options.expand_to is not None:
        _write_sub_jobs(group, options.expand_to, options.target)
        return 0
    search_path = files.search_path(options.config_dir)
    admit_job(job, search_path)
    if options.validate:
        sys.stdout.write(f"{options.job}: valid, {len(group.nodes)} nodes\n")
        return 0
    device = find_device(job.host.device_type, search_path, options.target, options.config)
    lab = Lab(device=device, dispatcher=load_dispatcher(search_path), search_path=search_path)
    return _run(group, lab, None, options)


def _dispatch_sub_job(document: Any, folder: Path, options: argparse.Namespace) -> int:
    if options.dry_run or options.expand_to is not None:
        raise JobError(f"{options.job} is a sub-job already", hint="give the whole job")
    is_host = document.get("is_vmhost") is True
    backend = None if is_host or options.config is None else backend_type(options.config)
    assignment = Assignment(target=options.target, backend=backend)
    group = parse_sub_job(document, folder, actions.parameter_schemas(), assignment)
    [node] = group.nodes
    search_path = files.search_path(options.config_dir)
    admit_sub_job(group, search_path)
    if options.validate:
        sys.stdout.write(f"{options.job}: valid, 1 node of {group.size}\n")
        return 0
    device = None
    if is_host:
        device = find_device(node.device_type, search_path, node.target, options.config)
    lab = Lab(
        device=device,
        dispatcher=load_dispatcher(search_path),
        search_path=search_path,
        vm_config=None if is_host else options.config,
    )
    coordinator = find_coordinator_config(options.coordinator, search_path).endpoint()
    return _run(group, lab, coordinator, options)


def _write_sub_jobs(group: Group, folder: Path, target: str | None) -> None:
    """Write each sub-job to a new file that only this user can read, as it may hold a token."""
    paths = [folder / f"{node.sub_id}.json" for node in group.nodes]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, node in zip(paths, group.nodes, strict=True):
            document = to_document(group, node, secrets=True)
            if node.is_host and target is not None:
                document["target"] = target
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(json.dumps(document, indent=2) + "\n")
            sys.stdout.write(f"{path}\n")
    except OSError as error:
        raise ConfigurationError(
            f"cannot write {error.filename}: {error.strerror}",
            hint="give --expand-to a folder without the sub-jobs of another job",
        ) from error


def _run(group: Group, lab: Lab, coordinator: Endpoint | None, options: argparse.Namespace) -> int:
    """Wait for the host, run the group's nodes, write the results, and show a summary.

    Return the exit status.
    """
    output = (options.output_dir or _OUTPUT).resolve()
    announced: list[str] = []
    level = logging.getLevelNamesMapping()[group.settings.logging_level]
    with ExitStack() as using:
        with log_to_terminal(level, sys.stderr):
            early: queue.SimpleQueue[Canceled] = queue.SimpleQueue()
            using.enter_context(canceling(early.put))
            # The process that uses the host may log to the same folder, so lock the host first.
            what, waiting = f"job {group.settings.name!r}", partial(pause, early)
            using.enter_context(exclusive(lab, what, output, limit_s=options.wait, pause=waiting))
            with _logs_in(output) as text:
                run = GroupRun(
                    group,
                    lab,
                    output,
                    options.job_id or group.nodes[0].job_id,
                    coordinator=coordinator,
                    announce=announced.append,
                    # The consoles of a whole group would mix their lines.
                    console_copy=text.console if group.is_sub_job else None,
                )
                with canceling(run.cancel):
                    while not early.empty():
                        run.cancel(early.get())
                    result = run.run()
        try:
            write_all(result, output)
        except Exception as error:
            Console().print(render(result, unwritten=error))
            raise
        Console().print(render(result))
    _announce(announced, options.oob_fd)
    return result.exit_status


@contextmanager
def _logs_in(output: Path) -> Iterator[OutputText]:
    """Write the events within the block to ``events.jsonl``, and to ``output.txt`` for LAVA."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        text = OutputText(output)
        handlers = (text, JsonLinesHandler(output / "events.jsonl"))
    except OSError as error:
        raise ConfigurationError(
            f"cannot write to {output}: {error.strerror}", hint="choose another --output-dir"
        ) from error
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
    if descriptor == _STANDARD_ERROR:
        sys.stderr.write(text)
        return
    try:
        os.write(descriptor, text.encode())
    except OSError as error:
        raise ConfigurationError(
            f"cannot write to file descriptor {descriptor}: {error.strerror}",
            hint="give --oob-fd one that is open",
        ) from error


def _complain(error: VMGroupError) -> None:
    lines = [error.describe()]
    if isinstance(error, JobError):
        lines += [f"  {problem}" for problem in error.problems]
    # Messages quote files, which may contain terminal escapes.
    sys.stderr.write("".join(f"lava-dispatch: {printable(line)}\n" for line in lines))
