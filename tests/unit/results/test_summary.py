# SPDX-License-Identifier: MIT
"""The summary tells a person how it went and what to do, and nothing foreign takes effect."""

from __future__ import annotations

import re
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from lava_vmgroup.base.errors import InfrastructureError, JobError
from lava_vmgroup.results import summary
from lava_vmgroup.results.model import JobResult, NodeResult, NodeState, Outcome, TestRun


def shown(result: JobResult, *, terminal: bool = False, width: int = 120) -> str:
    stream = StringIO()
    console = Console(
        file=stream, width=width, force_terminal=terminal, color_system=None, _environ={}
    )
    console.print(summary.render(result))
    return stream.getvalue()


def cells(text: str, first: str) -> list[str]:
    """The cells of the first row of a table that starts with `first`."""
    return next(row for row in rows(text) if row and row[0] == first)


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines()]


def test_each_node_has_its_row(job_result: JobResult) -> None:
    text = shown(job_result)

    assert cells(text, "arndale01") == ["arndale01", "host", "Incomplete", "", *"2111", "600.0"]
    assert cells(text, "vm1") == ["vm1", "client", "Incomplete", "emulated", *"0000", "125.0"]


@pytest.mark.parametrize(
    ("accelerator", "word"),
    [("kvm", "kvm"), ("tcg", "emulated"), ("unknown (launch_with)", "unknown")],
)
def test_each_vm_says_how_it_was_run(
    job_result: JobResult, vm: NodeResult, accelerator: str, word: str
) -> None:
    facts = {"accelerator": accelerator, "why_not_kvm": "/dev/kvm is missing"}
    passed = replace(vm, state=NodeState.COMPLETE, error=None, actions=(), attributes=facts)

    text = shown(replace(job_result, nodes=(passed,), cause=None, exit_status=0), width=80)

    assert cells(text, "vm1")[3] == word
    assert ("emulated: vm1: /dev/kvm is missing" in text) is (word == "emulated")


def test_column_for_the_accelerator_is_only_there_with_vms_that_were_run(
    job_result: JobResult, host: NodeResult
) -> None:
    assert "accelerator" not in shown(replace(job_result, nodes=(host,)))


@pytest.mark.parametrize(
    ("skipped", "status", "words"),
    [
        ("host vm", 0, "every node was skipped, nothing was tested"),
        ("vm", 0, "no test failed, 1 of 2 nodes were skipped"),
        ("vm", 1, "tests failed, 1 of 2 nodes were skipped, and 1 result is unknown"),
        ("", 0, "every node completed and no test failed"),
        ("host vm", 4, "the lab's equipment failed"),
    ],
)
def test_job_with_skipped_nodes_does_not_say_that_every_node_completed(
    job_result: JobResult, host: NodeResult, vm: NodeResult, skipped: str, status: int, words: str
) -> None:
    runs = host.runs if status == 1 else ()
    nodes = tuple(
        replace(
            node,
            state=NodeState.SKIPPED if name in skipped.split() else NodeState.COMPLETE,
            runs=runs if name == "host" else (),
        )
        for name, node in (("host", host), ("vm", vm))
    )

    text = shown(replace(job_result, nodes=nodes, exit_status=status))

    assert f"exit status {status} after 601.5 s: {words}\n" in text


def test_unknown_has_a_column_only_when_there_is_one(job_result: JobResult, vm: NodeResult) -> None:
    assert "unknown" in shown(job_result)
    assert "unknown" not in shown(replace(job_result, nodes=(vm,)))


def test_failed_cases_are_listed_and_others_are_not(job_result: JobResult) -> None:
    text = shown(job_result)

    failed = next(line for line in text.splitlines() if "clock is off" in line)
    assert [cell.strip() for cell in failed.split("│")[1:-1]] == [
        "arndale01",
        "smoke",
        "time",
        "clock is off",
    ]
    assert "bandwidth" not in text


def test_place_of_submitted_results_is_shown(job_result: JobResult) -> None:
    assert "results submitted: http://lava.example.org/bundles/1/" in shown(job_result)


def test_failed_case_shows_its_set_and_what_it_measured(
    job_result: JobResult, host: NodeResult, rich_run: TestRun
) -> None:
    slow = replace(rich_run.cases[0], outcome=Outcome.FAIL, message="too slow")
    run = replace(rich_run, cases=(slow,))

    text = shown(replace(job_result, nodes=(replace(host, runs=(run,)),)))

    failed = next(line for line in text.splitlines() if "too slow" in line)
    assert [cell.strip() for cell in failed.split("│")[3:-1]] == [
        "network: ping",
        "3 ms, too slow",
    ]


def test_what_consoles_showed_is_told_with_its_count(job_result: JobResult, vm: NodeResult) -> None:
    often = replace(job_result, nodes=(replace(vm, faults=3 * vm.faults),))

    row = ["vm1", "error", "hung-task", "copy"]
    assert [*row, "INFO: task sh:9 blocked"] in rows(shown(job_result))
    assert [*row, "INFO: task sh:9 blocked (3 times)"] in rows(shown(often))


def test_job_without_failures_has_no_list_of_them(job_result: JobResult, vm: NodeResult) -> None:
    assert "failed test cases" in shown(job_result)
    assert "failed test cases" not in shown(replace(job_result, nodes=(vm,)))


def test_cause_comes_first_with_hint_and_console(job_result: JobResult) -> None:
    lines = shown(job_result).splitlines()

    start = next(i for i, line in enumerate(lines) if line.startswith("cause:"))
    assert [line.rstrip() for line in lines[start : start + 5]] == [
        "cause: vm1: boot_linaro_image: DeadlineExpired: no login prompt within 120 s",
        "  hint: raise the timeout or look at the console log",
        "  | Starting kernel ...",
        "  | Kernel panic - not syncing",
        "then: arndale01: lava_test_shell: PeerFailed: node vm1 ended, so nothing more will come",
    ]


def test_error_is_told_once_though_action_and_node_have_it(job_result: JobResult) -> None:
    assert shown(job_result).count("no login prompt within 120 s") == 1


def test_those_that_followed_come_after_those_that_failed(
    job_result: JobResult, vm: NodeResult
) -> None:
    own = InfrastructureError("no room on the disk")
    second = replace(vm, name="vm2", actions=(), error=own)

    text = shown(replace(job_result, nodes=(*job_result.nodes, second)))

    assert text.index("cause:") < text.index("no room on the disk") < text.index("PeerFailed")
    assert "then: vm2: InfrastructureError: no room on the disk" in text


def test_every_problem_of_a_refused_job_is_listed(job_result: JobResult) -> None:
    cause = JobError("the job is refused", problems=["a: missing", "b: too long"])

    text = shown(replace(job_result, nodes=(), cause=cause, exit_status=2))

    assert "  - a: missing" in text
    assert "  - b: too long" in text


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (2, "the job must be changed"),
        (5, "a time limit passed"),
        (130, "canceled by SIGINT"),
        (143, "canceled by SIGTERM"),
        (99, "the job failed"),
    ],
)
def test_exit_status_is_told_in_words(job_result: JobResult, status: int, words: str) -> None:
    last = shown(replace(job_result, exit_status=status)).splitlines()[-1]

    assert last.rstrip() == f"exit status {status} after 601.5 s: {words}"


def test_success_says_that_no_test_failed(job_result: JobResult, vm: NodeResult) -> None:
    good = replace(vm, state=NodeState.COMPLETE, actions=(), error=None)

    text = shown(replace(job_result, nodes=(good,), cause=None, exit_status=0))

    assert "every node completed and no test failed" in text
    assert "cause" not in text


@pytest.mark.parametrize(("number", "words"), [(1, "1 result is"), (2, "2 results are")])
def test_last_line_counts_unknown_results(
    job_result: JobResult, host: NodeResult, number: int, words: str
) -> None:
    (run,) = host.runs
    odd = [case for case in run.cases if case.outcome is Outcome.UNKNOWN]
    node = replace(
        host, state=NodeState.COMPLETE, error=None, runs=(replace(run, cases=(*odd * number,)),)
    )

    text = shown(replace(job_result, nodes=(node,), cause=None, exit_status=0))

    assert (
        text.splitlines()[-1]
        .rstrip()
        .endswith(f"every node completed and no test failed, but {words} unknown")
    )


def test_success_of_a_sub_job_does_not_deny_its_failed_tests(job_result: JobResult) -> None:
    text = shown(replace(job_result, cause=None, exit_status=0))

    assert "no test failed" not in text
    assert "tests failed, which does not count here" in text


@pytest.mark.parametrize("hostile", ["\x1b[31m", "\x1b]0;title\x07", "\x9b31m", "\x1b[2J\x1b[H"])
def test_no_escape_sequence_gets_through(
    job_result: JobResult, host: NodeResult, smoke_run: TestRun, hostile: str
) -> None:
    failed = replace(smoke_run.cases[2], name=f"a{hostile}b", message=f"c{hostile}d")
    error = InfrastructureError(f"e{hostile}f", hint=f"g{hostile}h", last_lines=[f"i{hostile}j"])
    node = replace(
        host,
        name=f"n{hostile}m",
        role=f"r{hostile}s",
        runs=(replace(smoke_run, name=f"t{hostile}u", cases=(failed,)),),
        error=error,
    )

    text = shown(replace(job_result, nodes=(node,), cause=error), terminal=True)

    ours = re.compile(r"\x1b\[[13]?m|\x1b\[0m")
    assert re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", ours.sub("", text)) is None
    assert "\x1b[31m" not in text


def test_markup_is_shown_as_it_is(
    job_result: JobResult, host: NodeResult, smoke_run: TestRun
) -> None:
    failed = replace(smoke_run.cases[2], name="[red]a[/red]", message="[/nothing] :bomb:")
    error = InfrastructureError("[bold]e", hint="[link=http://a]h")
    node = replace(
        host,
        name="[red]",
        role="[blink]",
        runs=(replace(smoke_run, name="[b]", cases=(failed,)),),
        error=error,
    )

    text = shown(replace(job_result, nodes=(node,), cause=error))

    for literal in (
        "[red]a[/red]",
        "[/nothing] :bomb:",
        "[bold]e",
        "[link=http://a]h",
        "[blink]",
        "[b]",
    ):
        assert literal in text


def test_narrow_terminal_loses_no_text(
    job_result: JobResult, host: NodeResult, smoke_run: TestRun
) -> None:
    failed = replace(smoke_run.cases[2], name="x" * 100)
    node = replace(host, runs=(replace(smoke_run, cases=(failed,)),))

    text = shown(replace(job_result, nodes=(node,)), width=60)

    assert text.count("x") >= 100
