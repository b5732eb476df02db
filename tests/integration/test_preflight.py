# SPDX-License-Identifier: MIT
"""Hosts that cannot carry a job's VMs: refused before anything is sent to them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.lab import Lab, coordinator
from tests.support.local_lab import (
    entry,
    local_lab,
    only_programs,
    programs,
    shell_action,
    write_job,
)
from tests.support.sshd import Server


@pytest.fixture
def lab(tmp_path: Path, sshd: Server) -> Iterator[Lab]:
    with local_lab(tmp_path, sshd) as made:
        for name in ("kernel", "ramdisk"):
            (made.folder / name).write_bytes(os.urandom(3 << 20))
        yield made


def job(lab: Lab) -> Path:
    document: dict[str, Any] = {
        "timeout": 120,
        "vm_group": {
            "host": {"device_type": "rack"},
            "vms": [{"device_type": "kvm-aarch64", "role": "guest", "count": 2}],
        },
        "actions": [
            {
                "command": "deploy_linaro_kernel",
                "parameters": {"kernel": "kernel", "ramdisk": "ramdisk", "role": "guest"},
            },
            {"command": "boot_linaro_image", "parameters": {"role": "guest"}},
        ],
    }
    return write_job(lab, document)


def configure(lab: Lab, text: str) -> None:
    with (lab.config / "device-types/kvm-aarch64.conf").open("a") as file:
        file.write(text)


def refusals(lab: Lab) -> set[str]:
    """Return the reasons why the VMs were refused; check that nothing was sent before."""
    ended = lab.run(job(lab))

    assert ended.status == 4, ended.stderr
    assert ended.results["uploads"] == []
    assert not (lab.folder / "vms/sha256").exists()
    _, *vms = ended.results["nodes"]
    assert [vm["error"]["class"] for vm in vms] == ["Unfit"] * 2
    return {f"{vm['error']['message']} | {vm['error']['hint']}" for vm in vms}


def test_host_without_qemu(lab: Lab, sshd: Server) -> None:
    only_programs(sshd, lambda name: not name.startswith("qemu"))

    assert refusals(lab) == {
        "the host has no qemu-system-aarch64 for an aarch64 guest (QEMU found: none) | "
        "install qemu-system-arm in the host's image"
    }


def test_host_with_too_little_memory_for_all_vms_together(lab: Lab, sshd: Server) -> None:
    configure(lab, "qemu_memory = 6000000\n")

    (refusal,) = refusals(lab)
    assert "MiB of memory; the job's VMs together want 12000000 MiB" in refusal


def test_host_with_too_little_disk(lab: Lab, sshd: Server) -> None:
    head = "Filesystem 1024-blocks Used Available Capacity Mounted on"
    table = f"#!/bin/sh\necho {head}\necho /dev/sda 9999 7951 2048 80% /\n"
    only_programs(sshd, replaced={"df": table})

    (refusal,) = refusals(lab)
    assert f"2 MiB free below {lab.folder}/vms, the images of VMs need 6 MiB" in refusal


def test_host_without_sftp(lab: Lab, sshd: Server) -> None:
    sshd.offer_no_sftp()

    (refusal,) = refusals(lab)
    assert "no SFTP" in refusal


def test_host_whose_qemu_does_not_know_the_machine(lab: Lab, sshd: Server) -> None:
    configure(lab, "qemu_machine = arndale-5250\n")

    ended = lab.run(job(lab))

    assert ended.status == 4, ended.stderr
    assert "cannot make the machine 'arndale-5250'" in ended.results["cause"]["message"]
    assert "unsupported machine type" in ended.results["cause"]["message"]


MEETING = """
metadata: {format: Lava-Test-Shell Test Definition 1.0, name: t, description: d}
run:
  steps:
    - lava-send ready
    - lava-wait-all ready
    - lava-wait-all ready extra
    - lava-sync together
    - lava-test-case met --result pass
"""


def job_with_an_optional_vm(lab: Lab, sshd: Server) -> Path:
    """A job whose host lacks the QEMU that one of its VMs needs."""
    only_programs(sshd, lambda name: not name.startswith("qemu"))
    (lab.folder / "vm.img").write_bytes(os.urandom(1 << 20))
    extra = {"device_type": "kvm-aarch64", "role": "extra", "image": "vm.img", "optional": True}
    document = {
        "timeout": 60,
        "vm_group": {"host": {"device_type": "rack"}, "vms": [entry("guest", count=2), extra]},
        "actions": [shell_action("meeting.yaml", role) for role in ("guest", "host", "extra")],
    }
    return write_job(lab, document, meeting=MEETING)


def assert_only_the_last_was_skipped(nodes: list[Any]) -> None:
    assert [node["state"] for node in nodes] == ["Complete", "Complete", "Complete", "Skipped"]
    assert [node["counts"]["pass"] for node in nodes] == [1, 1, 1, 0]
    assert nodes[-1]["skipped"].startswith("the host has no qemu-system-aarch64")


def test_optional_vm_is_skipped_with_the_reason_and_nobody_waits_for_it(
    lab: Lab, sshd: Server
) -> None:
    ended = lab.run(job_with_an_optional_vm(lab, sshd))

    assert ended.status == 0, ended.stderr
    assert_only_the_last_was_skipped(ended.results["nodes"])
    assert "skipped: vm1-job0.3: the host has no" in ended.stdout
    assert ended.results["uploads"] == []


def test_optional_vm_of_another_dispatcher_is_skipped_as_well(lab: Lab, sshd: Server) -> None:
    path = job_with_an_optional_vm(lab, sshd)
    with coordinator(lab.folder) as port:
        started = lab.start_sub_jobs(path, port)
        ended = [lab.finish(started[number], f"results-{number}") for number in sorted(started)]

    assert [one.status for one in ended] == [0, 0, 0, 0], [one.stderr for one in ended]
    assert_only_the_last_was_skipped(ended[0].results["nodes"])


def test_dispatcher_without_a_tool_leaves_the_host_alone(
    lab: Lab, sshd: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = job(lab)
    path.write_text(path.read_text().replace('"kernel": "kernel"', '"kernel": "kernel.zst"'))
    (lab.folder / "kernel").rename(lab.folder / "kernel.zst")
    folder = programs(lab.folder / "tools", lambda name: name != "zstd")
    monkeypatch.setenv("PATH", str(folder))

    ended = lab.run(path)

    assert ended.status == 4, ended.stderr
    assert ended.results["cause"]["message"] == "the dispatcher has no zstd"
    assert ended.results["cause"]["hint"] == "install the package zstd"
    assert sshd.processes == []
