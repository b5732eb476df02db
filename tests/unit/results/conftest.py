# SPDX-License-Identifier: MIT
"""One job's result with a bit of everything, at fixed moments."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lava_vmgroup.base.console_faults import FaultSeverity, SeenFault
from lava_vmgroup.base.errors import DeadlineExpired, PeerFailed
from lava_vmgroup.results.model import (
    ActionResult,
    Attachment,
    HardwareDevice,
    JobResult,
    NodeResult,
    NodeState,
    Outcome,
    SoftwareContext,
    SoftwareSource,
    TestCase,
    TestRun,
    Upload,
)

METADATA = {
    "description": "Is it alive?",
    "version": "1",
    "format": "Lava-Test Test Definition 1.0",
    "location": "URL",
    "url": "file:///smoke.yaml",
    "environment": "lava-test-shell",
    "os": "debian",
    "devices": "arndale",
}


def at(minute: int, second: int = 0, microsecond: int = 0) -> datetime:
    return datetime(2026, 3, 1, 9, minute, second, microsecond, tzinfo=UTC)


@pytest.fixture(scope="session")
def smoke_run() -> TestRun:
    return TestRun(
        name="smoke",
        uuid="11111111-2222-3333-4444-555555555555",
        started_at=at(2),
        duration_s=90.25,
        cases=(
            TestCase(name="boots", outcome=Outcome.PASS, recorded_at=at(2, 10)),
            TestCase(
                name="bandwidth",
                outcome=Outcome.PASS,
                measurement="10",
                units="MB/s",
                message="over eth0",
                recorded_at=at(2, 40, 500000),
            ),
            TestCase(
                name="time", outcome=Outcome.FAIL, message="clock is off", recorded_at=at(2, 50)
            ),
            TestCase(name="sound", outcome=Outcome.SKIP, recorded_at=at(3)),
            TestCase(name="odd", outcome=Outcome.UNKNOWN, recorded_at=at(3, 30)),
        ),
        metadata=METADATA,
    )


@pytest.fixture(scope="session")
def rich_run() -> TestRun:
    """A run that found out about its system and left files behind."""
    source = SoftwareSource(
        project_name="smoke",
        branch_vcs="git",
        branch_url="https://git.example.org/smoke",
        branch_revision="abc123",
        default_params={"SIZE": "1"},
        test_params={"SIZE": "2"},
    )
    trace = Attachment(
        pathname="trace.bin", mime_type="application/octet-stream", content=b"\0\xff"
    )
    ping = TestCase(
        name="ping",
        outcome=Outcome.PASS,
        measurement="3",
        units="ms",
        test_set="network",
        reference="https://example.org/1",
        attachments=(trace,),
        recorded_at=at(2, 10),
    )
    return TestRun(
        name="rich",
        uuid="22222222-2222-3333-4444-555555555555",
        started_at=at(2),
        duration_s=90.25,
        cases=(ping,),
        attachments=(
            Attachment(pathname="stdout.log", mime_type="text/plain", content=b"Hello world"),
        ),
        hardware=(
            HardwareDevice(
                device_type="device.cpu",
                description="Processor #0",
                attributes={"cpu": "Cortex-A15"},
            ),
        ),
        software=SoftwareContext(image="Debian 13", packages=(("bash", "5.2"),), sources=(source,)),
    )


@pytest.fixture(scope="session")
def host(smoke_run: TestRun) -> NodeResult:
    followed = PeerFailed("node vm1 ended, so nothing more will come").at(
        node="arndale01", action="lava_test_shell"
    )
    return NodeResult(
        name="arndale01",
        sub_id="17.0",
        role="host",
        device_type="arndale",
        is_host=True,
        state=NodeState.INCOMPLETE,
        started_at=at(0),
        duration_s=600.0,
        actions=(
            ActionResult(command="boot_linaro_image", started_at=at(1), duration_s=30.5),
            ActionResult(
                command="lava_test_shell", started_at=at(2), duration_s=90.5, error=followed
            ),
        ),
        runs=(smoke_run,),
        error=followed,
        attributes={"host_ip": "10.0.0.5"},
    )


@pytest.fixture(scope="session")
def deadline() -> DeadlineExpired:
    error = DeadlineExpired(
        "no login prompt within 120 s",
        hint="raise the timeout or look at the console log",
        last_lines=("Starting kernel ...", "Kernel panic - not syncing"),
    )
    error.at(node="vm1", action="boot_linaro_image")
    return error


@pytest.fixture(scope="session")
def vm(deadline: DeadlineExpired) -> NodeResult:
    return NodeResult(
        name="vm1",
        sub_id="17.1",
        role="client",
        device_type="kvm-arm",
        is_host=False,
        state=NodeState.INCOMPLETE,
        started_at=at(0, 5),
        duration_s=125.0,
        actions=(
            ActionResult(command="deploy_linaro_image", started_at=at(0, 5), duration_s=5.0),
            ActionResult(
                command="boot_linaro_image",
                started_at=at(0, 10),
                duration_s=120.0,
                error=deadline,
            ),
        ),
        error=deadline,
        attributes={"accelerator": "tcg"},
        faults=(
            SeenFault(
                name="hung-task",
                severity=FaultSeverity.ERROR,
                line="INFO: task sh:9 blocked",
                lines=("before", "[  99.000000] INFO: task sh:9 blocked"),
                test_case="copy",
                seen_at=at(2),
            ),
        ),
    )


@pytest.fixture(scope="session")
def job_result(host: NodeResult, vm: NodeResult, deadline: DeadlineExpired) -> JobResult:
    return JobResult(
        job_name="group of two",
        job_id="17",
        target_group="e1b2",
        group_size=2,
        started_at=at(0),
        duration_s=601.5,
        nodes=(host, vm),
        tags=("nightly",),
        attributes={"logging_level": "INFO", "auto_start_vms": "true"},
        bundle_urls=("http://lava.example.org/bundles/1/",),
        uploads=(Upload(digest="ab" * 32, size=4096, bytes_sent=1024, used_by=("vm1",)),),
        cause=deadline,
        exit_status=5,
    )
