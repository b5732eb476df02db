# SPDX-License-Identifier: MIT
"""The command line of ``lava-dispatch``.  This module imports nothing that a run needs."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from lava_vmgroup import __version__

DOCTOR = "doctor"
"""The first word of the command line of ``lava-dispatch doctor``."""

DEVICES = "devices"
"""The first word of the command line of ``lava-dispatch devices convert``."""

HANDOVER = "handover"
"""The first word of the command line of ``lava-dispatch handover``."""

OUTPUT = Path("results")
STANDARD_ERROR = 2
LAVA_V2 = "lava-v2"
FORMATS = ("v1", LAVA_V2)
"""The values of ``--format``."""

_EPILOG = """\
exit status: 0 everything ran and passed, 1 test cases failed, 2 the job is wrong, 3 the
configuration is wrong, 4 the infrastructure failed, 5 a time limit passed, 6 the group did not
work together, 7 the test shell broke, 70 a bug of this program, 130 and 143 canceled by SIGINT
and SIGTERM; with a sub-job, failed test cases are no reason for 1, as LAVA's scheduler wants it
"""

_DOCTORS_EPILOG = """\
exit status: 0 the job can be run, perhaps more slowly or with less, 2 the job is wrong, 3 the
configuration is wrong, 4 something is missing, 130 and 143 canceled
"""
_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line of a run."""
    made = argparse.ArgumentParser(
        prog="lava-dispatch",
        description="Run a VM group: a host board and its virtual machines as one test job.",
        epilog=_EPILOG,
    )
    made.add_argument(
        "job",
        type=Path,
        metavar="JOB",
        help="the job file, JSON or YAML; or a sub-job, whose one node is run; "
        f"{DOCTOR!r}, {DEVICES!r} and {HANDOVER!r} are commands, see lava-dispatch {DOCTOR} "
        f"--help, and a job file of such a name is ./{DOCTOR}",
    )
    _add_checks(made)
    _add_places(made)
    _add_scheduling(made)
    made.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return made


def _add_checks(made: argparse.ArgumentParser) -> None:
    """Add the options that end before a device is touched."""
    only = made.add_mutually_exclusive_group()
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
    _add_formats(made)


def _add_formats(made: argparse.ArgumentParser) -> None:
    """Add the options for what ``--expand-to`` writes."""
    made.add_argument(
        "--format",
        choices=FORMATS,
        default=FORMATS[0],
        help=f"{FORMATS[0]}: a file for each sub-job, as LAVA v1 has them; {LAVA_V2}: a MultiNode "
        "job of LAVA v2, whose members run one sub-job each (default: %(default)s)",
    )
    made.add_argument(
        "--device-type",
        metavar="TYPE",
        help=f"with {LAVA_V2}: LAVA's type of the devices whose jobs run the VMs' sub-jobs",
    )
    made.add_argument(
        "--docker-image",
        type=_image,
        metavar="IMAGE",
        help=f"with {LAVA_V2}: the image of the docker tests, to be pulled from a registry "
        "(default: the worker's own localhost/lava-vmgroup)",
    )


def _add_places(made: argparse.ArgumentParser) -> None:
    """Add the options about files and devices."""
    made.add_argument(
        "--output-dir",
        type=Path,
        metavar="DIR",
        help=f"where results and logs go (default: {OUTPUT})",
    )
    made.add_argument(
        "--config-dir",
        type=Path,
        metavar="DIR",
        help="read devices and device types here instead of in /etc/lava-dispatcher and "
        "~/.config/lava-dispatcher",
    )
    made.add_argument(
        "--config", type=Path, metavar="FILE", help="a device configuration above all others"
    )
    made.add_argument(
        "--coordinator",
        type=Path,
        metavar="FILE",
        help="where the members of a sub-job's group meet, a file like lava-coordinator.conf "
        "(default: that of the configuration, else /etc/lava-coordinator/lava-coordinator.conf)",
    )
    host = made.add_mutually_exclusive_group()
    host.add_argument(
        "--target", metavar="NAME", help="the device to use as the host, or the name of the VM"
    )
    _add_device(host)


def _add_device(host: argparse._MutuallyExclusiveGroup) -> None:
    host.add_argument(
        "--device",
        type=Path,
        metavar="FILE",
        help="the host's device from a file of its own: a device dictionary of LAVA v2 (YAML), or "
        "a .conf file like those in devices/",
    )
    host.add_argument(
        "--host",
        type=_place,
        metavar="labgrid://PLACE",
        help="the host's device without a file: the place in labgrid, and the job's device type",
    )


def _add_scheduling(made: argparse.ArgumentParser) -> None:
    """Add the options for queues, and for LAVA's schedulers."""
    _add_inside_lava(made)
    made.add_argument(
        "--time-limit",
        type=_seconds,
        default=math.inf,
        metavar="SECONDS",
        help="end the job after that time, even if its own timeout is longer",
    )
    made.add_argument(
        "--wait",
        type=_seconds,
        nargs="?",
        const=math.inf,
        default=0.0,
        metavar="SECONDS",
        help="queue while another process uses the host's device, for that time or without a "
        "limit (default: end with status 4)",
    )
    made.add_argument(
        "--job-id",
        type=_name,
        metavar="ID",
        help="the job's number (default: 0, or what the sub-job says)",
    )
    made.add_argument(
        "--target-group",
        type=_name,
        metavar="NAME",
        help="the unique name of a sub-job's group (default: what the sub-job says)",
    )
    made.add_argument(
        "--oob-fd",
        type=int,
        default=STANDARD_ERROR,
        metavar="N",
        help="the file descriptor for what a LAVA scheduler is told of submitted results "
        "(default: %(default)s)",
    )


def _add_inside_lava(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--inside-lava",
        action="store_true",
        help="this is a test of a LAVA v2 job: take the host's device from LAVA's variables, and "
        "tell LAVA the results (default: if LAVA_CONNECTION_COMMAND is set and no device named)",
    )


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Parse the command line of a run; like argparse, exit for ``--help`` or a wrong option."""
    made = parser()
    options = made.parse_args(_with_limit(words))
    if options.format == LAVA_V2 and not (options.expand_to and options.device_type):
        made.error(f"argument --format: {LAVA_V2} needs --expand-to and --device-type")
    if options.format == LAVA_V2 and options.output_dir and not options.output_dir.is_absolute():
        made.error(f"argument --output-dir: with {LAVA_V2} it is a path in containers: /...")
    if options.format != LAVA_V2 and (options.device_type or options.docker_image):
        made.error(f"arguments --device-type and --docker-image go with --format {LAVA_V2}")
    return options


def _with_limit(words: Sequence[str]) -> list[str]:
    """Add ``=inf`` to a ``--wait`` without a number: else argparse takes the job's file for it."""
    return [
        f"{word}={math.inf}" if word == "--wait" and not _NUMBER.fullmatch(after) else word
        for word, after in zip_longest(words, words[1:], fillvalue="")
    ]


def _image(text: str) -> str:
    # As LAVA's schema has it.
    if not re.fullmatch(r"[a-z0-9][a-z0-9._/:-]*[a-z0-9](:[a-zA-Z0-9_][a-zA-Z0-9._-]*)?", text):
        raise argparse.ArgumentTypeError("expected the name of an image as LAVA takes it")
    return text


def _place(text: str) -> str:
    scheme, _, place = text.partition("://")
    if scheme != "labgrid" or not place or "/" in place or place.startswith("."):
        raise argparse.ArgumentTypeError("expected labgrid:// and the name of a place")
    return place


def _seconds(text: str) -> float:
    if text != str(math.inf) and not _NUMBER.fullmatch(text):
        raise argparse.ArgumentTypeError("expected a number of seconds")
    return float(text)


def _name(text: str) -> str:
    from lava_vmgroup.job.schema import NAME_PATTERN

    if not re.fullmatch(NAME_PATTERN, text):
        raise argparse.ArgumentTypeError("expected letters, digits, '_', '.' and '-'")
    return text


def doctors_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line of ``lava-dispatch doctor``."""
    made = argparse.ArgumentParser(
        prog=f"lava-dispatch {DOCTOR}",
        description="Say whether the dispatcher and the host have what a job needs.",
        epilog=_DOCTORS_EPILOG,
    )
    made.add_argument("job", type=Path, metavar="JOB", help="the job file, JSON or YAML")
    made.add_argument(
        "--boot",
        action="store_true",
        help="deploy and boot a host that is not up already, as the job says, and switch it off",
    )
    _add_inside_lava(made)
    made.add_argument("--json", action="store_true", help="print the findings as JSON")
    made.add_argument("--config-dir", type=Path, metavar="DIR", help="as for running a job")
    made.add_argument("--config", type=Path, metavar="FILE", help="as for running a job")
    host = made.add_mutually_exclusive_group()
    host.add_argument("--target", metavar="NAME", help="the device to use as the host")
    _add_device(host)
    made.add_argument(
        "--output-dir", type=Path, metavar="DIR", help="keep the record of the host's console here"
    )
    return made


def devices_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line of ``lava-dispatch devices``."""
    made = argparse.ArgumentParser(
        prog=f"lava-dispatch {DEVICES}", description="Bring devices from LAVA v2."
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    convert = commands.add_parser(
        "convert",
        help="write the .conf files for a device dictionary of LAVA v2",
        description="Write devices/NAME.conf, and device-types/TYPE.conf if there is none, for the "
        "device dictionary that 'lavacli devices dict get --render NAME' prints.",
    )
    convert.add_argument("file", type=Path, metavar="FILE", help="the rendered dictionary, YAML")
    convert.add_argument(
        "folder", type=Path, metavar="DIR", help="the configuration folder, as for --config-dir"
    )
    convert.add_argument(
        "--device-type", metavar="TYPE", help="the device's type, if the dictionary names none"
    )
    return made


def handovers_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line of ``lava-dispatch handover``."""
    made = argparse.ArgumentParser(
        prog=f"lava-dispatch {HANDOVER}",
        description="Print the line to run on a host, as root, so that a device with client_type = "
        "ssh and this ssh_identity_file can use it.",
    )
    made.add_argument("key", type=Path, metavar="KEY", help="the private key's file")
    return made
