# SPDX-License-Identifier: MIT
"""``lava-vmgroup-coordinator``: the coordinator of a lab as a program of its own."""

from __future__ import annotations

import argparse
import ipaddress
import logging
import logging.handlers
import queue
import resource
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType

from rich.console import Console

from lava_vmgroup import __version__
from lava_vmgroup.base.cancel import next_item
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import ConfigurationError, VMGroupError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.base.text import json_text
from lava_vmgroup.cli.display import PlainLineFormatter, attached
from lava_vmgroup.cli.output import lasting_output, print_document
from lava_vmgroup.config.coordinator import (
    DEFAULT_PATH,
    CoordinatorConfig,
    load_coordinator_config,
)
from lava_vmgroup.multinode.coordinator import MOST_FILES, Coordinator
from lava_vmgroup.multinode.status import ask_status, render_status
from lava_vmgroup.results.printable import printable

_STATUS_S = 10.0
_LEVELS = ("DEBUG", "INFO", "WARN", "WARNING", "ERROR")
_EPILOG = """\
exit status: 0 ended by SIGTERM or SIGINT, or the status was shown; 2 a wrong option; 3 the
configuration is wrong; 4 it cannot listen, or does not answer; 6 the status was refused;
70 a bug of this program
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``lava-vmgroup-coordinator`` and return its exit status."""
    with lasting_output():
        return _main(argv)


def _main(argv: Sequence[str] | None) -> int:
    options = parser().parse_args(argv)
    try:
        config = _configure(options)
        return _status(options, config) if options.command == "status" else _serve(options, config)
    except VMGroupError as error:
        sys.stderr.write(f"lava-vmgroup-coordinator: {printable(error.describe())}\n")
        return error.exit_status
    except Exception:  # noqa: BLE001 - a bug must not look like any other end
        sys.stderr.write(printable(traceback.format_exc()))
        return VMGroupError.exit_status


def parser() -> argparse.ArgumentParser:
    """Return the parser of the program's options."""
    made = argparse.ArgumentParser(
        prog="lava-vmgroup-coordinator",
        description="Let the nodes of MultiNode jobs find each other and wait for each other, in "
        "place of LAVA's lava-coordinator.",
        epilog=_EPILOG,
    )
    made.add_argument(
        "command",
        nargs="?",
        choices=("serve", "status"),
        default="serve",
        help="serve until SIGTERM or SIGINT (default), or show the groups of one that serves",
    )
    made.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help=f"the configuration, in LAVA's format (default: {DEFAULT_PATH} if there is one)",
    )
    made.add_argument(
        "--listen", metavar="ADDRESS", help="where to listen (default: 127.0.0.1, this machine)"
    )
    made.add_argument(
        "--port", type=_port, metavar="N", help="the port; 0 is any that is free (default: 3079)"
    )
    made.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="serve only clients that know the token in this file",
    )
    made.add_argument(
        "--logfile", metavar="FILE", help='where to log; "-" is stdout (default: stderr)'
    )
    made.add_argument(
        "--loglevel",
        "-l",
        type=str.upper,
        choices=_LEVELS,
        default="INFO",
        help="what to log (default: %(default)s)",
    )
    made.add_argument(
        "--host", metavar="NAME", help="status: where the coordinator is (default: configured)"
    )
    made.add_argument("--json", action="store_true", help="status: print JSON, not tables")
    made.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return made


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 0xFFFF:
        raise argparse.ArgumentTypeError("expected a number from 0 to 65535")
    return number


def _configure(options: argparse.Namespace) -> CoordinatorConfig:
    """Return the configuration of the file, with the options in place of its values."""
    path = options.config or (DEFAULT_PATH if DEFAULT_PATH.exists() else None)
    config = load_coordinator_config(path) if path else CoordinatorConfig()
    given = {
        "listen": options.listen,
        "port": options.port,
        "token_file": options.token_file,
        "coordinator_hostname": options.host,
    }
    return replace(config, **{key: value for key, value in given.items() if value is not None})


def _status(options: argparse.Namespace, config: CoordinatorConfig) -> int:
    deadline = Deadline.after("the coordinator's status", _STATUS_S)
    groups = ask_status(config.endpoint(), deadline)
    if options.json:
        print_document(json_text({"groups": groups}, indent=2) + "\n")
    else:
        Console().print(render_status(groups))
    return 0


def _serve(options: argparse.Namespace, config: CoordinatorConfig) -> int:
    token = config.token()
    _raise_file_limit()
    with (
        _logging(options.logfile, options.loglevel),
        _ending() as inbox,
        Coordinator((config.listen, config.port), token=token, ended=inbox) as coordinator,
    ):
        log = NodeLog("coordinator")
        host, port = coordinator.address
        if token is None and not _is_loopback(host):
            log.warning("open", f"everybody who reaches {host} may join groups: set token_file")
        log.event("listening", f"listening on {host}:{port}")
        sys.stdout.write(f"{host}:{port}\n")
        sys.stdout.flush()
        number = next_item(inbox)
        if number is None:
            # The coordinator's thread has ended without a signal.
            return VMGroupError.exit_status
        log.event("ended", f"ended by {signal.Signals(number).name}")
    return 0


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextmanager
def _logging(logfile: str | None, level: str) -> Iterator[None]:
    """Log events of `level` and worse to `logfile` within the block.

    A file that was moved away is opened anew.  Raises `ConfigurationError` if it cannot be opened.
    """
    handler: logging.Handler
    if logfile in {None, "-"}:
        handler = logging.StreamHandler(sys.stdout if logfile else sys.stderr)
    else:
        try:
            handler = logging.handlers.WatchedFileHandler(str(logfile), encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(
                f"cannot write the log {logfile}: {error.strerror}", hint="choose another --logfile"
            ) from error
    handler.setFormatter(PlainLineFormatter())
    handler.setLevel(level)
    try:
        with attached(handler):
            yield
    finally:
        handler.close()


@contextmanager
def _ending() -> Iterator[queue.SimpleQueue[int | None]]:
    """Yield a queue that gets the number of each SIGTERM and SIGINT within the block."""
    inbox: queue.SimpleQueue[int | None] = queue.SimpleQueue()

    def handle(number: int, _frame: FrameType | None) -> None:
        inbox.put(number)

    previous = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield inbox
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
