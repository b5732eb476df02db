# SPDX-License-Identifier: MIT
"""``lava-dispatch`` as a test of a LAVA v2 job, which reads markers in the test's output."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lava_vmgroup.base.errors import JobError, VMGroupError, status_of
from lava_vmgroup.results.printable import one_line

_CONSOLE = "LAVA_CONNECTION_COMMAND"
"""LAVA's variable with the command for the console of the job's device."""
_RESULTS = "LAVA_RESULT_DIR"
"""LAVA's variable with the folder of a test's own files."""
_MAX_REASON = 400


def settle(options: argparse.Namespace) -> None:
    """Decide whether this is a test of LAVA's, and where its files go unless the user says so."""
    chosen = (options.device, options.host, options.target)
    named = any(one is not None for one in chosen)
    options.inside_lava = options.inside_lava or (_CONSOLE in os.environ and not named)
    if options.inside_lava and options.output_dir is None and _RESULTS in os.environ:
        options.output_dir = Path(os.environ[_RESULTS]) / "lava-vmgroup"


@contextmanager
def wrong_options_told(words: Sequence[str]) -> Iterator[None]:
    """Tell LAVA if argparse ends the block for wrong options, if this is a test of LAVA's."""
    try:
        yield
    except SystemExit as end:
        if end.code and ("--inside-lava" in words or _CONSOLE in os.environ):
            say(raised(int(end.code), "the command line is wrong, see the lines before this one"))
        raise


@contextmanager
def refusals_told(options: argparse.Namespace) -> Iterator[None]:
    """Tell LAVA the error that ends the block, if this is a test of LAVA's."""
    try:
        yield
    except VMGroupError as error:
        if options.inside_lava:
            problems = error.problems if isinstance(error, JobError) else ()
            say(raised(status_of(error), "; ".join([error.describe(), *problems])))
        raise
    except Exception as error:
        if options.inside_lava:
            say(raised(VMGroupError.exit_status, f"a bug of lava_vmgroup: {error!r}"))
        raise


def harmless(text: str) -> str:
    """Return text of others so that LAVA does not take it for a marker."""
    return text.replace("<LAVA_", "<_LAVA_")


def raised(status: int, reason: str) -> str:
    """Return the marker that ends LAVA's job with a reason."""
    words = re.sub("[<>]", "_", one_line(reason))[:_MAX_REASON]
    return f"<LAVA_SIGNAL_TESTRAISE lava-dispatch ended with status {status}: {words}>"


def say(*lines: str) -> None:
    """Print lines at once, so that no other thread's stand between them."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
