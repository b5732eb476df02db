# SPDX-License-Identifier: MIT
"""A bounded run of the fuzzer; ``python tests/fuzz/consoles.py`` takes any number."""

from __future__ import annotations

import pytest

from tests.fuzz.consoles import main


def test_no_console_breaks_a_session_or_changes_a_result(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = main(["--count", "150", "--seed", "1"])

    told = capsys.readouterr()
    assert status == 0, told.err
    assert told.out.startswith("150 inputs (seed 1)")
