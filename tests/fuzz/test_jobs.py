# SPDX-License-Identifier: MIT
"""A bounded run of the fuzzer; ``python tests/fuzz/jobs.py`` takes any number."""

from __future__ import annotations

import pytest

from tests.fuzz.jobs import main


def test_every_changed_job_is_taken_or_refused_and_nothing_is_started(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = main(["--count", "1500", "--seed", "1"])

    told = capsys.readouterr()
    assert status == 0, told.err
    assert told.out.startswith("1500 inputs (seed 1)")
