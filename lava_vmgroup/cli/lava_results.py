# SPDX-License-Identifier: MIT
"""A job's results as those of the LAVA v2 job around it, as they happen.

Every event is a line of standard output, a test case is followed by LAVA's markers for it, and no
other text looks like a marker.  The test set of a test case is its node and its test run.
"""

from __future__ import annotations

import io
import logging
import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from lava_vmgroup.cli.display import PlainLineFormatter, attached
from lava_vmgroup.cli.inside_lava import harmless, raised, say
from lava_vmgroup.results.model import JobResult, TestCase
from lava_vmgroup.results.printable import one_line
from lava_vmgroup.results.summary import render

_ODD = re.compile(r"[^A-Za-z0-9_.+/-]")
"""Characters that LAVA does not take in the name of a test case or set."""
_MAX_SET = 200
"""Characters of the name of a test set in LAVA's database."""
_TOO_LARGE = 1e20
"""LAVA's database takes smaller measurements; with a larger one it would lose the test case."""
_FAILED = 1
_WIDTH = 100


class LavaTest(logging.Handler):
    """A log handler that prints each event, and LAVA's markers for test cases."""

    def __init__(self, sub_ids: Container[str]) -> None:
        """Take the numbers of the nodes that this process runs: other processes tell theirs."""
        super().__init__(logging.INFO)
        self._sub_ids = sub_ids
        self.setFormatter(PlainLineFormatter())
        self._told: Counter[tuple[str, ...]] = Counter()

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Print the events of the block."""
        with attached(self):
            yield

    def emit(self, record: logging.LogRecord) -> None:
        """Print one event."""
        say(harmless(one_line(self.format(record))))
        if getattr(record, "kind", "") == "test-case":
            node = getattr(record, "node", "")
            self._tell(node, getattr(record, "fields", {}))

    def end(self, result: JobResult, *, unwritten: Exception | None = None) -> int:
        """Tell LAVA what is not told yet, show the summary, and return the exit status for LAVA.

        Test cases that failed are no reason for a failure: LAVA has their results.  With
        `unwritten`, the error that prevented the writing of a result file, the caller raises it.
        """
        nodes = [node for node in result.nodes if node.sub_id in self._sub_ids]
        missing = Counter(
            _words(f"{node.name}.{run.name}", _fields(case))
            for node in nodes
            for run in node.runs
            for case in run.cases
        )
        for words in (missing - self._told).elements():
            _say_case(words)
        for node in nodes:
            if node.skipped is not None:
                _say_case(_words(node.name, {"name": "skipped", "result": "skip"}))
        _show(result, unwritten)
        status = result.exit_status
        if status in (0, _FAILED):
            return 0
        if result.cause is not None and unwritten is None:
            say(raised(status, result.cause.describe()))
        return status

    def _tell(self, node: str, fields: Mapping[str, Any]) -> None:
        words = _words(f"{node}.{fields.get('run', '')}", fields)
        self._told[words] += 1
        _say_case(words)


def _fields(case: TestCase) -> dict[str, Any]:
    return {
        "name": case.name,
        "result": case.outcome.value,
        "measurement": case.measurement,
        "units": case.units,
    }


def _show(result: JobResult, unwritten: Exception | None) -> None:
    """Print the summary: LAVA's log is all that its users see."""
    text = io.StringIO()
    Console(file=text, width=_WIDTH).print(render(result, unwritten=unwritten))
    say(*(harmless(line.rstrip()) for line in text.getvalue().splitlines()))


def _words(test_set: str, fields: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a test case as the words of LAVA's markers, the test set first."""
    test_set = _name(test_set).replace("+", "_").replace("/", "_")
    words = [test_set[:_MAX_SET], f"TEST_CASE_ID={_name(fields['name'])}"]
    words.append(f"RESULT={fields['result']}")
    if (number := fields.get("measurement")) is not None and abs(float(number)) < _TOO_LARGE:
        words.append(f"MEASUREMENT={fields['measurement']}")
        if fields.get("units"):
            words.append(f"UNITS={_name(fields['units'])}")
    return tuple(words)


def _name(text: str) -> str:
    return _ODD.sub("_", text)


def _say_case(words: tuple[str, ...]) -> None:
    test_set, *rest = words
    say(
        f"<LAVA_SIGNAL_TESTSET START {test_set}>",
        f"<LAVA_SIGNAL_TESTCASE {' '.join(rest)}>",
        "<LAVA_SIGNAL_TESTSET STOP>",
    )
