# SPDX-License-Identifier: MIT
"""Test cases that a test must record: ``expected`` of a definition, as in today's LAVA."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from lava_vmgroup.results.model import Outcome, TestCase
from lava_vmgroup.testshell.verdicts import INSTALL_CASE, RUN_CASE


def as_expected(
    cases: Sequence[TestCase], expected: Collection[str], ended_at: datetime
) -> list[TestCase]:
    """Return the cases of a test, with a failure for each that is missing or not expected.

    If `expected` is empty, the test may record any cases.  `ended_at` is the time of missing ones.
    The cases for the test's scripts are not its own, so they stay as they are.
    """
    if not expected:
        return list(cases)
    allowed = {*expected, INSTALL_CASE, RUN_CASE}
    recorded = {case.name for case in cases}
    missing = [name for name in dict.fromkeys(expected) if name not in recorded]
    return [
        *(case if case.name in allowed else _unexpected(case) for case in cases),
        *(
            TestCase(
                name=name,
                outcome=Outcome.FAIL,
                message="expected, and not recorded",
                recorded_at=ended_at,
            )
            for name in missing
        ),
    ]


def _unexpected(case: TestCase) -> TestCase:
    """Return the case as a failure; a case that has failed keeps its own message."""
    if case.outcome is Outcome.FAIL:
        return case
    message = f"recorded as {case.outcome.value}, and not among the expected test cases"
    return replace(case, outcome=Outcome.FAIL, message=message)
