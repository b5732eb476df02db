# SPDX-License-Identifier: MIT
"""The verdict that a test reports, and the usable words beside it.

1. A bad word never costs a verdict.
2. A name of several words stays whole.
3. A measurement that is no number is left out, with a remark.
4. A result that LAVA does not know is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from lava_vmgroup.results.model import Outcome
from lava_vmgroup.testdefs.definition import DEFAULT_FIXUPS
from lava_vmgroup.testshell.events import TestCaseSignal

OUTCOMES: Mapping[str, Outcome] = {outcome.value: outcome for outcome in Outcome}

INSTALL_CASE = "lava-test-shell-install"
RUN_CASE = "lava-test-shell-run"
"""LAVA's test cases for install.sh and run.sh; the second is recorded only if its script fails."""

_KEYS = ("TEST_CASE_ID", "RESULT", "UNITS", "MEASUREMENT", "REFERENCE")
_VALUES = ("RESULT", "UNITS", "MEASUREMENT")
_KEY = re.compile(rf"(?:^|\s)({'|'.join(_KEYS)})=")
_OTHER_PAIRS = re.compile(r"(?:(?:^|\s+)\w+=\S*)+$")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
KERNEL_TEXT = re.compile(r"\[ {0,8}\d{1,8}\.\d{6}\] ")
"""The beginning of a kernel's line: its time stamp."""

_SHOWN = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """The words of a test beside its verdict.

    None means that the test gave no such word.  An empty text means that it gave an empty one,
    which becomes one of the doubts.
    """

    measurement: str | None = None
    units: str | None = None
    message: str | None = None
    reference: str | None = None


NO_DETAILS = Details()


def outcome_of(word: str, fixups: Mapping[str, str] = DEFAULT_FIXUPS) -> Outcome:
    """Return the meaning of a result in LAVA: `fixups` come first, then LAVA's own words.

    Any other word is unknown.
    """
    explained = fixups.get(word) or DEFAULT_FIXUPS.get(word, word)
    return OUTCOMES.get(explained, Outcome.UNKNOWN)


def verdict(
    test_case_id: str,
    reported: str,
    details: Details = NO_DETAILS,
    fixups: Mapping[str, str] = DEFAULT_FIXUPS,
) -> TestCaseSignal:
    """Make the result of a test case from the words of a test; `fixups` explain `reported`."""
    measurement, units, reference = details.measurement, details.units, details.reference
    left_out = []
    if measurement is not None and not _NUMBER.fullmatch(measurement):
        left_out.append(f"the measurement {measurement[:_SHOWN]!r} is no number")
        measurement = None
    if units == "" and measurement is not None:
        left_out.append("the units are empty")
    if reference == "":
        left_out.append("the reference is empty")
    return TestCaseSignal(
        test_case_id=test_case_id,
        result=outcome_of(reported, fixups),
        reported=reported,
        measurement=measurement,
        units=units or None,
        message="; ".join(filter(None, [details.message, *left_out])) or None,
        reference=reference or None,
        doubts=tuple(left_out),
    )


def parse_test_case(words: str) -> TestCaseSignal | None:
    """Return the result in the words of a TESTCASE marker; None if name or result is missing.

    The pairs of key and value have any order.  A value ends before LAVA's next key.  As in LAVA,
    pairs with other keys are left out.
    """
    before, *parts = _KEY.split(words)
    pairs = [(key, _one_line(text)) for key, text in zip(parts[::2], parts[1::2], strict=True)]
    fields = dict(pairs)
    if _OTHER_PAIRS.sub("", before).strip() or not fields.get("TEST_CASE_ID"):
        return None
    for key in _VALUES:
        if key in fields:
            fields[key] = _OTHER_PAIRS.sub("", fields[key])
    # A result is one word: if more text follows, that has torn the marker.
    if " " in fields.get("RESULT", " "):
        return None
    results = {text for key, text in pairs if key == "RESULT"}
    signal = verdict(
        fields["TEST_CASE_ID"],
        # A name may hold "RESULT=", too.  If the results differ, the outcome is unknown.
        fields["RESULT"] if len(results) == 1 else " or ".join(sorted(results)),
        Details(
            measurement=fields.get("MEASUREMENT"),
            units=fields.get("UNITS"),
            reference=fields.get("REFERENCE"),
        ),
    )
    return _with_remarks(signal)


def kernel_text_in_value(words: str) -> bool:
    """Return whether a TESTCASE marker's words have kernel text in a value other than the name."""
    _, *parts = _KEY.split(words)
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return any(
        key in _VALUES and KERNEL_TEXT.search(_OTHER_PAIRS.sub("", text)) for key, text in pairs
    )


def parse_reference(words: str) -> TestCaseSignal | None:
    """Return the result in the words of a TESTREFERENCE marker, or None.

    The words are ``ID RESULT URL``, as in today's LAVA, or pairs of key and value.
    """
    if _KEY.search(words):
        return parse_test_case(words)
    match words.split():
        case [*name, result, reference] if name:
            return _with_remarks(verdict(" ".join(name), result, Details(reference=reference)))
        case [name, result]:
            return verdict(name, result, Details(reference=""))
        case _:
            return None


def _with_remarks(signal: TestCaseSignal) -> TestCaseSignal:
    """Add a doubt for each name, unit or reference with blanks, which LAVA does not take."""
    told = {"name": signal.test_case_id, "units": signal.units, "reference": signal.reference}
    remarks = [
        f"the {what} {text[:_SHOWN]!r} has blanks"
        for what, text in told.items()
        if text and " " in text
    ]
    return replace(signal, doubts=(*signal.doubts, *remarks))


def _one_line(text: str) -> str:
    return " ".join(text.split())
