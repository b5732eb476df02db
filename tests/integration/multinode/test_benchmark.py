# SPDX-License-Identifier: MIT
"""The benchmark of the coordinators, with numbers that take no time."""

from __future__ import annotations

import math

import pytest

from benchmarks.multinode import main


def test_the_benchmark_measures_barriers_messages_and_memory(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--only-ours", "--sizes", "2", "--rounds", "1", "--seconds", "0.1"]

    assert main(options) == 0

    rows = [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("│")
    ]
    barrier, one_sender, eight_senders, memory = rows
    assert barrier[:3] == ["2", "ours", "1 of 1"]
    assert barrier[-1] == "none"
    assert [one_sender[:2], eight_senders[:2]] == [["1", "ours"], ["8", "ours"]]
    assert memory[0] == "ours"
    numbers = [*barrier[3:7], *one_sender[2:], *eight_senders[2:], *memory[1:]]
    assert all(math.isfinite(float(number)) for number in numbers), rows
