# SPDX-License-Identifier: MIT
"""``lava-dispatch``: the main program, and how its errors are told.

Imports of what a job needs come after the command line is parsed, so that ``--help`` is quick.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

from lava_vmgroup.base.errors import JobError, VMGroupError, status_of
from lava_vmgroup.cli.arguments import (
    DEVICES,
    DOCTOR,
    HANDOVER,
    devices_parser,
    doctors_parser,
    handovers_parser,
    parse,
)
from lava_vmgroup.cli.inside_lava import harmless, wrong_options_told
from lava_vmgroup.cli.output import lasting_output
from lava_vmgroup.results.printable import printable


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``lava-dispatch`` and return its exit status."""
    with lasting_output():
        return _main(sys.argv[1:] if argv is None else argv)


def _main(words: Sequence[str]) -> int:
    try:
        if words[:1] == [DOCTOR]:
            with wrong_options_told(words):
                options = doctors_parser().parse_args(words[1:])
            from lava_vmgroup.cli.doctor import examine_lab

            return examine_lab(options)
        if words[:1] == [DEVICES]:
            options = devices_parser().parse_args(words[1:])
            from lava_vmgroup.cli.convert import convert

            return convert(options)
        if words[:1] == [HANDOVER]:
            options = handovers_parser().parse_args(words[1:])
            from lava_vmgroup.cli.handover import hand_over

            return hand_over(options)
        with wrong_options_told(words):
            options = parse(words)
        from lava_vmgroup.cli.jobs import dispatch

        return dispatch(options)
    except VMGroupError as error:
        _complain(error)
        return status_of(error)
    except Exception:  # noqa: BLE001 - a bug must not look like any other end
        sys.stderr.write(harmless(printable(traceback.format_exc())))
        return VMGroupError.exit_status


def _complain(error: VMGroupError) -> None:
    lines = [error.describe()]
    if isinstance(error, JobError):
        lines += [f"  {problem}" for problem in error.problems]
    # Messages quote files, which may contain terminal escapes.
    sys.stderr.write("".join(f"lava-dispatch: {harmless(printable(line))}\n" for line in lines))
