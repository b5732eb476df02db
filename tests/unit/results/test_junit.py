# SPDX-License-Identifier: MIT
"""The JUnit report is XML that any reader takes, and counts what happened."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lava_vmgroup.base.errors import InfrastructureError, JobError
from lava_vmgroup.results.model import (
    JobResult,
    NodeResult,
    NodeState,
    Outcome,
    TestCase,
    TestRun,
)
from lava_vmgroup.results.writers import junit

ILLEGAL = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""The characters that XML 1.0 forbids, and the carriage return, which it changes."""


def report(result: JobResult) -> ElementTree.Element:
    return ElementTree.fromstring(junit.render(result))


def suite(result: JobResult, name: str) -> ElementTree.Element:
    (found,) = (element for element in report(result) if element.get("name") == name)
    return found


def case(result: JobResult, suite_name: str, name: str) -> ElementTree.Element:
    (found,) = suite(result, suite_name).findall(f"testcase[@name='{name}']")
    return found


def counts(element: ElementTree.Element) -> dict[str, str]:
    keys = ("tests", "failures", "errors", "skipped", "time")
    return {key: element.attrib[key] for key in keys}


def properties(element: ElementTree.Element) -> dict[str, str]:
    found = element.findall("properties/property")
    return {entry.attrib["name"]: entry.attrib["value"] for entry in found}


def test_set_reference_and_attachments_of_a_test_case(
    job_result: JobResult, host: NodeResult, rich_run: TestRun
) -> None:
    result = replace(job_result, nodes=(replace(host, runs=(rich_run,)),))

    ping = case(result, "arndale01.rich", "ping")

    assert ping.get("classname") == "arndale01.rich.network"
    assert properties(ping) == {
        "measurement": "3",
        "units": "ms",
        "reference": "https://example.org/1",
        "attachment": "arndale01/attachments/rich/ping-trace.bin",
    }
    facts = properties(suite(result, "arndale01.rich"))
    assert facts["attachment"] == "arndale01/attachments/rich/stdout.log"
    assert facts["image"] == "Debian 13"
    assert facts["source"] == "git https://git.example.org/smoke abc123"


def test_there_is_a_suite_per_run_and_one_for_each_nodes_actions(job_result: JobResult) -> None:
    names = [element.get("name") for element in report(job_result)]

    assert names == ["arndale01.smoke", "arndale01.lava", "vm1.lava"]


def test_counts_and_times_of_all_suites(job_result: JobResult) -> None:
    root = report(job_result)

    assert (root.tag, root.get("name")) == ("testsuites", "group of two")
    assert counts(root) == {
        "tests": "9",
        "failures": "1",
        "errors": "3",
        "skipped": "1",
        "time": "601.500",
    }


def test_counts_times_and_facts_of_a_suite(job_result: JobResult) -> None:
    element = suite(job_result, "arndale01.smoke")

    assert counts(element) == {
        "tests": "5",
        "failures": "1",
        "errors": "1",
        "skipped": "1",
        "time": "90.250",
    }
    assert element.get("timestamp") == "2026-03-01T09:02:00+00:00"
    assert element.get("hostname") == "arndale01"
    assert properties(element) == {
        "role": "host",
        "device_type": "arndale",
        "state": "Incomplete",
        "host_ip": "10.0.0.5",
    }


def test_case_takes_the_time_since_the_verdict_before_it(job_result: JobResult) -> None:
    times = [entry.get("time") for entry in suite(job_result, "arndale01.smoke").iter("testcase")]

    assert times == ["10.000", "30.500", "9.500", "10.000", "30.000"]


def test_clock_that_went_back_gives_no_negative_time(
    job_result: JobResult, host: NodeResult, smoke_run: TestRun
) -> None:
    early = TestCase(
        name="early", outcome=Outcome.PASS, recorded_at=datetime(2020, 1, 1, tzinfo=UTC)
    )
    run = replace(smoke_run, cases=(early,))

    element = case(
        replace(job_result, nodes=(replace(host, runs=(run,)),)), "arndale01.smoke", "early"
    )

    assert element.get("time") == "0.000"


def test_failure_has_its_message(job_result: JobResult) -> None:
    element = case(job_result, "arndale01.smoke", "time")

    assert element.get("classname") == "arndale01.smoke"
    assert [child.tag for child in element] == ["failure"]
    assert (element[0].get("message"), element[0].text) == ("clock is off", "clock is off")


def test_lines_of_a_console_are_whole_in_the_text_of_a_failure(
    job_result: JobResult, vm: NodeResult, smoke_run: TestRun
) -> None:
    text = "INFO: task sh:9 blocked\nbefore\n  after"
    copied = replace(smoke_run.cases[2], message=text)
    node = replace(vm, runs=(replace(smoke_run, cases=(copied,)),))

    (failure,) = case(replace(job_result, nodes=(node,)), "vm1.smoke", "time")

    assert (failure.get("message"), failure.text) == ("INFO: task sh:9 blocked", text)


def test_suite_of_a_node_has_what_its_console_showed(job_result: JobResult) -> None:
    assert properties(suite(job_result, "vm1.lava"))["console-hung-task"] == (
        "INFO: task sh:9 blocked"
    )


def test_skip_is_skipped(job_result: JobResult) -> None:
    element = case(job_result, "arndale01.smoke", "sound")

    assert [child.tag for child in element] == ["skipped"]


def test_unknown_is_an_error(job_result: JobResult) -> None:
    element = case(job_result, "arndale01.smoke", "odd")

    [error] = element
    assert (error.tag, error.get("type")) == ("error", "unknown")
    assert error.get("message") == "the test's verdict is unknown"


def test_reason_of_an_unknown_verdict_is_its_message(
    job_result: JobResult, host: NodeResult, smoke_run: TestRun
) -> None:
    *_, odd = smoke_run.cases
    run = replace(smoke_run, cases=(replace(odd, message="'maybe' is no result"),))

    element = case(
        replace(job_result, nodes=(replace(host, runs=(run,)),)), "arndale01.smoke", "odd"
    )

    assert [child.get("message") for child in element] == ["'maybe' is no result"]


def test_measurement_is_a_property_and_a_message_is_output(job_result: JobResult) -> None:
    element = case(job_result, "arndale01.smoke", "bandwidth")

    assert properties(element) == {"measurement": "10", "units": "MB/s"}
    assert element.findtext("system-out") == "over eth0"


def test_failed_action_is_an_error_that_says_everything(job_result: JobResult) -> None:
    element = suite(job_result, "vm1.lava")
    error = case(job_result, "vm1.lava", "boot_linaro_image").find("error")

    assert [entry.get("name") for entry in element.iter("testcase")] == [
        "deploy_linaro_image",
        "boot_linaro_image",
    ]
    assert error is not None
    assert error.get("type") == "DeadlineExpired"
    assert error.get("message") == "no login prompt within 120 s"
    assert (error.text or "").splitlines() == [
        "DeadlineExpired: no login prompt within 120 s",
        "node: vm1",
        "action: boot_linaro_image",
        "hint: raise the timeout or look at the console log",
        "last lines of the console:",
        "  Starting kernel ...",
        "  Kernel panic - not syncing",
    ]


def test_error_outside_of_actions_is_in_job_complete(job_result: JobResult, vm: NodeResult) -> None:
    error = InfrastructureError("the host went away")
    group = replace(job_result, nodes=(replace(vm, actions=(), error=error),), cause=error)

    element = case(group, "vm1.lava", "job_complete")

    assert [child.get("message") for child in element.iter("error")] == ["the host went away"]
    assert element.get("time") == "0.000"
    assert report(group).get("errors") == "1"


def test_node_that_ended_early_without_an_error_is_an_error(
    job_result: JobResult, vm: NodeResult
) -> None:
    node = replace(vm, actions=(), error=None, state=NodeState.CANCELED)

    element = case(replace(job_result, nodes=(node,), cause=None), "vm1.lava", "job_complete")

    assert [child.get("message") for child in element.iter("error")] == ["the node ended Canceled"]


def test_complete_node_has_no_error(job_result: JobResult, vm: NodeResult) -> None:
    node = replace(vm, actions=vm.actions[:1], error=None, state=NodeState.COMPLETE)

    assert counts(suite(replace(job_result, nodes=(node,)), "vm1.lava"))["errors"] == "0"


def test_cause_that_no_node_accounts_for_is_told(job_result: JobResult) -> None:
    cause = JobError("the job is refused", problems=["vms[0].count: 0 is too few"])

    element = case(replace(job_result, nodes=(), cause=cause), "lava", "job_complete")

    assert "vms[0].count: 0 is too few" in (element.findtext("error") or "")


def test_unfinished_run_says_so(
    job_result: JobResult, host: NodeResult, smoke_run: TestRun
) -> None:
    node = replace(host, runs=(replace(smoke_run, finished=False),))

    element = suite(replace(job_result, nodes=(node,)), "arndale01.smoke")

    assert properties(element)["finished"] == "false"


def test_run_says_how_many_records_are_missing(
    job_result: JobResult, host: NodeResult, smoke_run: TestRun
) -> None:
    node = replace(host, runs=(replace(smoke_run, missing_records=3),))

    element = suite(replace(job_result, nodes=(node,)), "arndale01.smoke")

    assert properties(element)["missing_records"] == "3"


@given(text=st.text())
@example(text="\x00\x1b[31m\x0b\ud800\ufffe\uffff\r\n]]>&<\"'")
def test_report_parses_and_is_legal_for_any_text(
    job_result: JobResult, host: NodeResult, smoke_run: TestRun, text: str
) -> None:
    cases = tuple(
        TestCase(
            name=text,
            outcome=outcome,
            message=text,
            measurement=text,
            units=text,
            recorded_at=smoke_run.started_at,
        )
        for outcome in Outcome
    )
    error = InfrastructureError(text, hint=text, last_lines=[text])
    node = replace(
        host,
        name=text,
        runs=(replace(smoke_run, name=text, cases=cases),),
        error=error,
        attributes={text: text},
    )

    rendered = junit.render(replace(job_result, job_name=text, nodes=(node,)))

    assert ILLEGAL.search(rendered) is None
    root = ElementTree.fromstring(rendered)
    # Four cases, two actions, and job_complete; then the cause, which is no node's.
    assert root.get("tests") == str(4 + 2 + 1 + 1)


@pytest.mark.parametrize("character", ["\x08", "\x7f", "\x9b"])
def test_control_characters_leave_a_trace(
    job_result: JobResult, host: NodeResult, smoke_run: TestRun, character: str
) -> None:
    failed = TestCase(
        name="a",
        outcome=Outcome.FAIL,
        message=f"before{character}after\nnext",
        recorded_at=smoke_run.started_at,
    )
    node = replace(host, runs=(replace(smoke_run, cases=(failed,)),))

    element = case(replace(job_result, nodes=(node,)), "arndale01.smoke", "a")

    assert element.findtext("failure") == "before\ufffdafter\nnext"


def test_write_makes_junit_xml(job_result: JobResult, tmp_path: Path) -> None:
    (path,) = junit.write(job_result, tmp_path)

    assert path == tmp_path / "junit.xml"
    assert path.read_text(encoding="utf-8") == junit.render(job_result)


def test_skipped_node_is_skipped_with_its_reason(job_result: JobResult, vm: NodeResult) -> None:
    skipped = replace(
        vm, state=NodeState.SKIPPED, skipped="no room", error=None, actions=(), runs=()
    )

    element = case(replace(job_result, nodes=(skipped,)), f"{vm.name}.lava", "job_complete")

    (verdict,) = element
    assert (verdict.tag, verdict.get("message")) == ("skipped", "no room")
