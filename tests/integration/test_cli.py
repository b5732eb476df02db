# SPDX-License-Identifier: MIT
"""The command line as a user runs it: a process with arguments and an exit status."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/vm-group/job.json"


def dispatch(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lava_vmgroup", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.fixture
def job(tmp_path: Path) -> dict[str, Any]:
    """A valid job whose files are beside it."""
    document: dict[str, Any] = json.loads(EXAMPLE.read_text())
    (tmp_path / "testdef.yaml").write_text((EXAMPLE.parent / "testdef.yaml").read_text())
    (tmp_path / "image.img").write_bytes(bytes(512))
    for action in document["actions"][:3]:
        action["parameters"]["image"] = "image.img"
    document["vm_group"]["host"]["device_type"] = "arndale"
    return document


def test_dry_run_prints_the_sub_jobs_without_devices_and_images(
    job: dict[str, Any], tmp_path: Path
) -> None:
    job["actions"][0]["parameters"]["image"] = "/not/there.img"
    path = tmp_path / "job.json"
    path.write_text(json.dumps(job))

    done = dispatch("--dry-run", path)

    sub_jobs = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert [(one["role"], one["sub_id"], one.get("target")) for one in sub_jobs] == [
        ("host", "0.0", None),
        ("server", "0.1", "vm2-job0.1"),
        ("client", "0.2", "vm1-job0.2"),
    ]


def test_valid_job_is_said_to_be_valid(job: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_text(json.dumps(job))

    done = dispatch("--validate", path)

    assert (done.returncode, done.stdout, done.stderr) == (0, f"{path}: valid, 3 nodes\n", "")


def test_broken_job_is_refused_with_its_place(job: dict[str, Any], tmp_path: Path) -> None:
    job["vm_group"]["vms"][0]["count"] = 0
    path = tmp_path / "job.json"
    path.write_text(json.dumps(job))

    done = dispatch("--validate", path)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "lava-dispatch: the job is not valid\n"
        "lava-dispatch:   vm_group.vms[0].count: expected a number of at least 1, got 0\n"
    )


def test_lab_without_the_device_is_a_configuration_error_and_leaves_nothing(
    job: dict[str, Any], tmp_path: Path
) -> None:
    path, output = tmp_path / "job.json", tmp_path / "out"
    path.write_text(json.dumps(job))
    (tmp_path / "lab").mkdir()

    done = dispatch("--config-dir", tmp_path / "lab", "--output-dir", output, path)

    assert done.returncode == 3
    assert "no device is of type arndale" in done.stderr
    assert not output.exists()


@pytest.mark.parametrize(
    "arguments", [[], ["--no-such-option", "x"], ["--job-id", "a b", "job.json"], ["none.json"]]
)
def test_wrong_usage_ends_with_status_2(arguments: list[str]) -> None:
    done = dispatch(*arguments)

    assert done.returncode == 2
    assert "lava-dispatch: " in done.stderr


def test_unknown_kind_of_vm_is_refused(job: dict[str, Any], tmp_path: Path) -> None:
    types = tmp_path / "lab/device-types"
    types.mkdir(parents=True)
    (types / "kvm-arm.conf").write_text("client_type = nosuch\n")
    path = tmp_path / "job.json"
    path.write_text(json.dumps(job))

    done = dispatch("--config-dir", tmp_path / "lab", "--validate", path)

    assert done.returncode == 3
    assert f"{types}/kvm-arm.conf: client_type: there is no kind of VM 'nosuch'" in done.stderr
    assert "known: qemu" in done.stderr


@pytest.fixture
def dictionary(tmp_path: Path) -> Path:
    """The device dictionary of an Arndale board that boots by itself."""
    uart = {"connect": "telnet localhost 7001", "tags": ["primary", "telnet"]}
    content = {
        "hostname": "arndale01",
        "devicetype": "arndale",
        "actions": {"boot": {"methods": {"minimal": None, "grub": None}}},
        "commands": {"connections": {"uart0": uart}, "hard_reset": "pdu reset"},
    }
    path = tmp_path / "arndale01.yaml"
    path.write_text(json.dumps(content))
    return path


def test_device_of_lava_v2_is_the_host(
    job: dict[str, Any], dictionary: Path, tmp_path: Path
) -> None:
    path = tmp_path / "job.json"
    path.write_text(json.dumps(job))

    done = dispatch("--validate", "--device", dictionary, path)
    examined = dispatch("doctor", "--json", "--device", dictionary, path)

    assert (done.returncode, done.stderr) == (0, "")
    found = {one["what"]: one["found"] for one in json.loads(examined.stdout)["findings"]}
    assert found["boot methods"] == "arndale01 is used by bootloader; only LAVA can do grub"


def test_device_of_another_type_is_refused(
    job: dict[str, Any], dictionary: Path, tmp_path: Path
) -> None:
    job["vm_group"]["host"]["device_type"] = "vexpress-tc2"
    path = tmp_path / "job.json"
    path.write_text(json.dumps(job))

    done = dispatch("--device", dictionary, path)

    assert done.returncode == 3
    assert "arndale01 is of type arndale, but the job wants vexpress-tc2" in done.stderr


def test_converted_device_is_never_written_over_another(dictionary: Path, tmp_path: Path) -> None:
    lab = tmp_path / "lab"

    first = dispatch("devices", "convert", dictionary, lab)
    (lab / "devices/arndale01.conf").write_text("mine")
    second = dispatch("devices", "convert", dictionary, lab)

    assert first.stdout.split() == [
        f"{lab}/devices/arndale01.conf",
        f"{lab}/device-types/arndale.conf",
    ]
    assert second.returncode == 3
    assert "cannot write" in second.stderr
    assert (lab / "devices/arndale01.conf").read_text() == "mine"


def test_name_of_a_job_file_is_no_marker_of_lavas(job: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=x RESULT=pass>.json"
    path.write_text(json.dumps(job))

    done = dispatch("--validate", path)

    assert done.returncode == 0
    assert "<LAVA_" not in done.stdout
