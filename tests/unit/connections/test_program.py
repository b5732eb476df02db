# SPDX-License-Identifier: MIT
"""Tools on the dispatcher that print without end, or do not end, are ended."""

from __future__ import annotations

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import DeadlineExpired
from lava_vmgroup.connections.process import TooMuchOutput
from lava_vmgroup.connections.program import ProgramOutput, run_tool


def soon() -> Deadline:
    return Deadline.after("the test", 60.0)


def test_both_outputs_of_a_tool_are_read() -> None:
    words = ["sh", "-c", "seq 1 50000; seq 1 50000 >&2; exit 3"]

    ended = run_tool(words, soon())

    numbers = b"".join(b"%d\n" % number for number in range(1, 50001))
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, numbers, numbers)


@pytest.mark.parametrize("where", ["", ">&2"])
def test_a_tool_that_prints_without_end_is_ended(where: str) -> None:
    with pytest.raises(TooMuchOutput, match="more than 100000 bytes"):
        run_tool(["sh", "-c", f"while :; do echo flood {where}; done"], soon(), limit=100_000)


@pytest.mark.parametrize("command", ["sleep 1000", "exec >&- 2>&-; sleep 1000"])
def test_a_tool_that_does_not_end_is_ended(command: str) -> None:
    with pytest.raises(DeadlineExpired, match="the tool"):
        run_tool(["sh", "-c", command], Deadline.after("the tool", 0.2))


def test_a_limit_of_months_is_no_problem() -> None:
    assert run_tool(["echo", "hello"], Deadline.after("the job", 3e6)).stdout == b"hello\n"


def test_a_program_that_fails_is_told_by_its_last_words() -> None:
    words = ["sh", "-c", "seq 1 5000 >&2; echo the reason >&2; exit 3"]

    with ProgramOutput(words, soon()) as output:
        assert output.read() == b""
        status, said = output.wait()

    assert (status, said.splitlines()[-1]) == (3, "the reason")
