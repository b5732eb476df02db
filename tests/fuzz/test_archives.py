# SPDX-License-Identifier: MIT
"""A bounded run of the fuzzer; ``python tests/fuzz/archives.py`` takes any number."""

from __future__ import annotations

import pytest

from tests.fuzz.archives import main


def test_every_changed_archive_is_read_or_refused_inside_its_folder(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = main(["--count", "150", "--seed", "1"])

    told = capsys.readouterr()
    assert status == 0, told.err
    assert told.out.startswith("150 inputs (seed 1)")
