# SPDX-License-Identifier: MIT
"""Examples that need a host and guests, be they emulated."""

import json
import re
from typing import Any

from tests.support.examples import nodes_of, run_example, without_deployment
from tests.support.lab import IMAGES, ROOT, Ended, coordinator
from tests.support.twin import TwinLab


def test_vm_without_a_disk_hears_the_jobs_command_line(twin_lab: TwinLab) -> None:
    run_example(twin_lab, "kernel-and-ramdisk")


def test_host_starts_its_vms_in_one_process_and_in_sub_jobs(twin_lab: TwinLab) -> None:
    whole = run_example(twin_lab, "host-starts-vms")

    check_sub_jobs(twin_lab, whole)


def test_two_roles_share_one_upload(twin_lab: TwinLab) -> None:
    ended = run_example(twin_lab, "two-roles")

    workers, (server,) = nodes_of(ended, "worker"), nodes_of(ended, "server")
    assert len(workers) == 2
    size = (IMAGES / "vm-arm64.img").stat().st_size
    (disk,) = (upload for upload in ended.results["uploads"] if upload["size"] == size)
    assert sorted(disk["used_by"]) == sorted(node["name"] for node in [server, *workers])
    assert 0 < disk["bytes_sent"] < size  # once, and without the image's holes


def check_sub_jobs(lab: TwinLab, whole: Ended) -> None:
    """The same job with a dispatcher for each node has the same results, at the first node."""
    job = without_deployment(ROOT / "examples/host-starts-vms/job.json", lab.folder / "again")
    with coordinator(lab.folder) as port:
        started = lab.start_sub_jobs(job, port)
        ended = {
            number: lab.finish(process, f"results-{number}") for number, process in started.items()
        }

    assert {number: one.status for number, one in ended.items()} == dict.fromkeys("01", 0), [
        one.stderr for one in ended.values()
    ]
    first, other = (ended[number] for number in "01")
    assert outcomes(first) == outcomes(whole)
    assert outcomes(other) == [one for one in outcomes(whole) if one[0] != "host"]
    assert runs_in(first) == runs_in(whole)
    text = (ended["1"].output / "output.txt").read_text(errors="replace")
    assert text.startswith("<LAVA_DISPATCHER>")
    assert "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=guest RESULT=pass " in text
    assert lab.traces() == []


def outcomes(ended: Ended) -> list[tuple[str, str, list[tuple[str, str, str]]]]:
    """Return each node's role and state with the verdicts of its tests."""
    return sorted(
        (
            node["role"],
            node["state"],
            [
                (run["name"], case["name"], case["result"])
                for run in node["runs"]
                for case in run["cases"]
            ],
        )
        for node in ended.results["nodes"]
    )


def runs_in(ended: Ended) -> list[tuple[str, str]]:
    """The test runs of the bundle, each with its node's role."""
    runs: list[dict[str, Any]] = json.loads((ended.output / "bundle.json").read_text())["test_runs"]
    return [(run["attributes"]["role"], run["test_id"]) for run in runs]


def test_measured_throughput_between_vms_of_three_kinds(twin_lab: TwinLab) -> None:
    ended = run_example(twin_lab, "client-server")

    kinds = {node["device_type"] for node in ended.results["nodes"] if not node["is_host"]}
    assert kinds == {"kvm-arm", "kvm-aarch64", "kvm-aarch32"}
    (client,) = nodes_of(ended, "client")
    cases = {case["name"]: case for run in client["runs"] for case in run["cases"]}
    assert cases["received"]["measurement"] == str(2 << 20)
    assert cases["throughput"]["units"] == "MiB/s"
    assert re.fullmatch(r"\d+\.\d\d", cases["throughput"]["measurement"])
    assert (
        f'"measurement": "{cases["throughput"]["measurement"]}"'
        in (ended.output / "bundle.json").read_text()
    )


def test_launch_with_and_shell_prompt(twin_lab: TwinLab) -> None:
    # Nothing but the job's own shell_prompt finds the prompt.
    types = twin_lab.config / "device-types/kvm-aarch64.conf"
    types.write_text('test_image_prompts = ["never shown"]\n')

    ended = run_example(twin_lab, "launch-with")

    (bare,) = nodes_of(ended, "bare")
    assert "group_ip" not in bare["attributes"]
