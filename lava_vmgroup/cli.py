# SPDX-License-Identifier: MIT
"""``lava-dispatch``: the command line, the signals, and the exit status."""

from __future__ import annotations

import argparse
import json
import logging
import re
import signal
import sys
import traceback
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console

from lava_vmgroup import __version__, actions
from lava_vmgroup.config import files
from lava_vmgroup.config.dispatcher import load_dispatcher
from lava_vmgroup.config.inventory import find_device, load_vm_type
from lava_vmgroup.display import log_to_terminal
from lava_vmgroup.errors import Canceled, ConfigurationError, JobError, VMGroupError
from lava_vmgroup.job.expand import expand, to_document
from lava_vmgroup.job.load import load_document
from lava_vmgroup.job.model import Group, Job
from lava_vmgroup.job.parse import parse_job
from lava_vmgroup.job.schema import NAME_PATTERN
from lava_vmgroup.log import LOGGER, JsonLinesHandler
from lava_vmgroup.results.model import JobResult
from lava_vmgroup.results.printable import printable
from lava_vmgroup.results.summary import render
from lava_vmgroup.results.writers import write_all
from lava_vmgroup.runner.group import GroupRun, Lab

_EPILOG = """\
exit status: 0 everything ran and passed, 1 test cases failed, 2 the job is wrong, 3 the
configuration is wrong, 4 the infrastructure failed, 5 a time limit passed, 6 the group did not
work together, 7 the test shell broke, 70 a bug of this program, 130 and 143 canceled by SIGINT
and SIGTERM
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``lava-dispatch`` and return its exit status."""
    options = _parser().parse_args(argv)
    try:
        return _dispatch(options)
    except VMGroupError as error:
        _complain(error)
        return error.exit_status
    except Exception:  # noqa: BLE001 - a bug must not look like any other end
        traceback.print_exc()
        return VMGroupError.exit_status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lava-dispatch",
        description="Run a VM group: a host board and its virtual machines as one test job.",
        epilog=_EPILOG,
    )
    parser.add_argument("job", type=Path, metavar="JOB", help="the job file, JSON or YAML")
    parser.add_argument(
        "--validate", action="store_true", help="only check the job; touches no device"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="only print the expanded sub-jobs as a JSON list; needs no devices and no images",
    )
    parser.add_argument(
        "--output-dir",
        type=Path,
        default=Path("results"),
        metavar="DIR",
        help="where results and logs go (default: %(default)s)",
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
    parser.add_argument("--target", metavar="NAME", help="the device to use as the host")
    parser.add_argument(
        "--job-id",
        type=_job_id,
        default="0",
        metavar="ID",
        help="the job's number (default: %(default)s)",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def _job_id(text: str) -> str:
    if not re.fullmatch(NAME_PATTERN, text):
        raise argparse.ArgumentTypeError("expected letters, digits, '_', '.' and '-'")
    return text


def _dispatch(options: argparse.Namespace) -> int:
    job = parse_job(
        load_document(options.job), options.job.resolve().parent, actions.parameter_schemas()
    )
    group = expand(job, job_id=options.job_id, target_group=str(uuid.uuid4()))
    if options.dry_run:
        documents = [to_document(group, node) for node in group.nodes]
        sys.stdout.write(json.dumps(documents, indent=2) + "\n")
        return 0
    search_path = files.search_path(options.config_dir)
    _check(job, search_path)
    if options.validate:
        sys.stdout.write(f"{options.job}: valid, {len(group.nodes)} nodes\n")
        return 0
    device = find_device(job.host.device_type, search_path, options.target, options.config)
    lab = Lab(device=device, dispatcher=load_dispatcher(search_path), search_path=search_path)
    result = _run(group, lab, options)
    Console().print(render(result))
    return result.exit_status


def _check(job: Job, search_path: tuple[Path, ...]) -> None:
    """Refuse whatever can be found wrong without a device, all at once."""
    problems = list(actions.file_problems(job))
    for place, name in _device_types(job):
        try:
            load_vm_type(name, search_path)
        except JobError as error:
            problems.append(f"{place}: {error.message}; {error.hint}")
    if problems:
        raise JobError("the job is not valid", problems=problems)


def _device_types(job: Job) -> Iterator[tuple[str, str]]:
    yield "vm_group.host.device_type", job.host.device_type
    for index, vm in enumerate(job.vms):
        yield f"vm_group.vms[{index}].device_type", vm.device_type


def _run(group: Group, lab: Lab, options: argparse.Namespace) -> JobResult:
    output = options.output_dir.resolve()
    try:
        output.mkdir(parents=True, exist_ok=True)
        events = JsonLinesHandler(output / "events.jsonl")
    except OSError as error:
        raise ConfigurationError(
            f"cannot write to {output}: {error.strerror}", hint="choose another --output-dir"
        ) from error
    run = GroupRun(group, lab, output, options.job_id)
    LOGGER.setLevel(logging.DEBUG)
    LOGGER.addHandler(events)
    try:
        level = logging.getLevelNamesMapping()[group.job.logging_level]
        with log_to_terminal(level, sys.stderr), _canceling(run):
            result = run.run()
    finally:
        LOGGER.removeHandler(events)
        events.close()
    write_all(result, output)
    return result


@contextmanager
def _canceling(run: GroupRun) -> Iterator[None]:
    """Have SIGINT and SIGTERM cancel the run instead of ending the process."""

    def handle(number: int, _frame: FrameType | None) -> None:
        run.cancel(Canceled(f"canceled by {signal.Signals(number).name}", signal_number=number))

    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _complain(error: VMGroupError) -> None:
    lines = [error.describe()]
    if isinstance(error, JobError):
        lines += [f"  {problem}" for problem in error.problems]
    # Messages quote what stands in files, which may be anything.
    sys.stderr.write("".join(f"lava-dispatch: {printable(line)}\n" for line in lines))
