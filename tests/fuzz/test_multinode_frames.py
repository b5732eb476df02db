# SPDX-License-Identifier: MIT
"""A bounded run of the fuzzer; ``python tests/fuzz/multinode_frames.py`` takes any number."""

from __future__ import annotations

import pytest

from tests.fuzz.multinode_frames import main


def test_hostile_frames_harm_neither_the_coordinator_nor_a_group(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = main(["--count", "20000", "--seed", "1"])

    told = capsys.readouterr()
    assert status == 0, told.err
    assert told.out.startswith("20000 frames (seed 1")
