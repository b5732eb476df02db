# SPDX-License-Identifier: MIT
"""Results in a test's output, and data in the arguments of its helpers."""

from __future__ import annotations

from collections.abc import Iterable

from lava_vmgroup.testdefs.definition import TestDefinition
from lava_vmgroup.testshell.events import TestCaseSignal
from lava_vmgroup.testshell.verdicts import Details, verdict

_NO_RESULT = "the definition's parse.pattern has no group for the result"

MAX_PATTERN_LINE = 1000
"""Characters of a line that a test definition's own pattern is tried on."""

_MAX_TEXTS = 1000
"""Texts of a line, the last ones, in which results are looked for."""

# As in LAVA, a word may hold a "<", but not the beginning of another marker.


def results_in(definition: TestDefinition, line: str) -> list[TestCaseSignal]:
    """Return the results in a line, of which a carriage return begins another text.

    A progress is written over itself: of one test case the last result counts.  Raises `JobError`
    if the pattern takes too long.
    """
    texts = line.split("\r")[-_MAX_TEXTS:]
    found = [parse_line(definition, text) for text in texts]
    return list({one.test_case_id: one for one in found if one is not None}.values())


def parse_line(definition: TestDefinition, line: str) -> TestCaseSignal | None:
    """Return the result that `definition`'s pattern finds in a line of the output, or None.

    Raises `JobError` if the pattern takes too long.
    """
    match = definition.parse.pattern.match(line[:MAX_PATTERN_LINE].strip())
    if match is None:
        return None
    groups = match.groupdict()
    test_case_id = (groups["test_case_id"] or "").strip()
    if not test_case_id:
        return None
    reported = groups.get("result") or ""
    details = Details(
        measurement=groups.get("measurement") or None,
        units=groups.get("units") or None,
        message=groups.get("message") or (None if "result" in groups else _NO_RESULT),
    )
    return verdict(test_case_id, reported, details, definition.parse.fixups)


def parse_arguments(words: Iterable[str]) -> dict[str, str]:
    """Return the data of a lava-send: each word is ``key=value``, split at its first ``=``.

    Raises `ValueError` if a word has no ``=`` or no key.
    """
    data = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise ValueError(f"{word!r} is not KEY=VALUE")
        data[key] = value
    return data
