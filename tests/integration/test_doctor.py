# SPDX-License-Identifier: MIT
"""``lava-dispatch doctor`` as a user calls it, for a host that is this machine and for a board."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.lab import Lab
from tests.support.local_lab import entry, local_lab, only_programs, write_job
from tests.support.sshd import Server


@pytest.fixture
def lab(tmp_path: Path, sshd: Server) -> Iterator[Lab]:
    with local_lab(tmp_path, sshd) as made:
        (made.folder / "vm.img").write_bytes(os.urandom(1 << 20))
        yield made


def guests(count: int = 1) -> dict[str, Any]:
    return {"device_type": "kvm-aarch64", "role": "guest", "count": count, "image": "vm.img"}


def job(
    lab: Lab, *vms: dict[str, Any], host: str = "rack", name: str = "job.json", **more: Any
) -> Path:
    document = {
        "timeout": 60,
        "vm_group": {"host": {"device_type": host, **more}, "vms": list(vms)},
        "actions": [{"command": "boot_linaro_image", "parameters": {"role": "guest"}}],
    }
    return write_job(lab, document).rename(lab.folder / name)


def dispatch(lab: Lab, *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lava_vmgroup", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=lab.folder)


def doctor(lab: Lab, path: Path, *options: str) -> tuple[int, dict[str, Any], list[str]]:
    """The exit status, the findings by what they are of, and what was not looked at."""
    done = dispatch(lab, "doctor", "--json", "--config-dir", lab.config, *options, path)
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert report["exit_status"] == done.returncode
    found = {one["what"]: one for one in report["findings"]}
    return done.returncode, found, report["not_looked_at"]


def test_host_that_fits_is_said_to_fit_and_left_as_it_was(lab: Lab, sshd: Server) -> None:
    keys = sshd.authorized_keys.read_text()

    status, found, not_looked_at = doctor(lab, job(lab, guests(2)))

    assert (status, not_looked_at) == (0, [])
    assert platform.machine() in found["host"]["found"]
    assert "qemu-system-aarch64" in found["kvm-aarch64 (virt)"]["found"]
    assert "the job's VMs together want 1024 MiB" in found["memory"]["found"]
    assert "the images of VMs need 1 MiB" in found["disk"]["found"]
    assert found["qemu-img"]["where"] == "dispatcher"
    assert sshd.authorized_keys.read_text() == keys
    assert not (lab.folder / "vms").exists()


def test_all_that_is_missing_is_said_at_once_with_what_to_do(lab: Lab, sshd: Server) -> None:
    only_programs(sshd, lambda name: not name.startswith(("qemu", "truncate")))

    done = dispatch(lab, "doctor", "--config-dir", lab.config, job(lab, guests()))

    assert done.returncode == 4
    words = " ".join(done.stdout.replace("│", " ").split())
    assert "the host has no truncate" in words
    assert "no qemu-system-aarch64" in words
    assert "-> install qemu-system-arm" in words
    assert "exit status 4: the job cannot be run" in words


def test_emulation_is_degraded_and_no_reason_to_refuse(lab: Lab, sshd: Server) -> None:
    emulating = "#!/bin/sh\ncase \"$*\" in *'-accel kvm'*) echo no such CPU; exit 1 ;; esac\n"
    # No host of another architecture has KVM for the guest either.
    program = f"{emulating}echo QEMU 9.9 monitor\n"
    only_programs(sshd, replaced={"qemu-system-aarch64": program})

    status, found, _ = doctor(lab, job(lab, guests()))

    one = found["kvm-aarch64 (virt)"]
    assert (status, one["severity"]) == (0, "degraded")
    assert "qemu-system-aarch64 9.9 emulates it, slowly" in one["found"]


def test_host_says_what_it_has_in_words_that_the_job_can_require(lab: Lab, sshd: Server) -> None:
    version = "#!/bin/sh\necho QEMU emulator version 8.2.0\n"
    only_programs(sshd, lambda name: "qemu" not in name, {"qemu-system-aarch64": version})
    _, found, _ = doctor(lab, job(lab, entry("guest")))
    words = json.loads(f"[{found['has']['found'].partition(': ')[2]}]")

    status, found, _ = doctor(lab, job(lab, entry("guest"), requires=words))

    assert status == 0
    assert found["required for host"]["severity"] == "ok"
    assert {"qemu>=8.2.0", f"cpus>={os.cpu_count()}"} <= set(words)


def test_nodes_that_will_be_skipped_are_named_with_the_evidence_and_not_looked_at(
    lab: Lab, sshd: Server
) -> None:
    only_programs(sshd, lambda name: not name.startswith("qemu"))

    status, found, _ = doctor(lab, job(lab, {**guests(), "requires": ["file:/nothing"]}))

    one = found["required for guest"]
    assert (status, one["severity"]) == (0, "degraded")
    assert one["found"] == "requires file:/nothing: /nothing is missing: guest will be skipped"
    assert not [what for what in found if what.startswith("QEMU")]


@pytest.mark.parametrize(
    ("policy", "status", "severity"), [("skip", 0, "degraded"), ("fail", 4, "missing")]
)
def test_host_that_lacks_something_is_found_out_before_the_run(
    lab: Lab, policy: str, status: int, severity: str
) -> None:
    vm = {**guests(), "requires": ["file:/nothing"], "requires_policy": "fail"}
    path = job(lab, vm, requires=["file:/nothing"], requires_policy=policy)

    ended, found, _ = doctor(lab, path)

    assert (ended, found["required for host"]["severity"]) == (status, severity)
    assert not {"required for guest", "memory", "disk"} & found.keys()


def test_vm_that_must_have_kvm_is_missing_it_where_it_would_be_emulated(
    lab: Lab, sshd: Server
) -> None:
    emulating = "#!/bin/sh\ncase \"$*\" in *'-accel kvm'*) echo no such CPU; exit 1 ;; esac\n"
    only_programs(sshd, replaced={"qemu-system-aarch64": f"{emulating}echo QEMU 9.9 monitor\n"})

    status, found, _ = doctor(lab, job(lab, {**guests(), "accelerator": "kvm"}))

    assert (status, found["kvm-aarch64 (virt)"]["severity"]) == (4, "missing")
    assert "the job never emulates it" in found["kvm-aarch64 (virt)"]["found"]


def test_vm_that_the_job_launches_needs_no_qemu(lab: Lab, sshd: Server) -> None:
    only_programs(sshd, lambda name: not name.startswith("qemu"))

    status, found, _ = doctor(lab, job(lab, entry("guest")))

    assert (status, "memory" in found) == (0, False)


def test_host_that_is_away_is_the_finding(lab: Lab) -> None:
    with (lab.config / "devices/rack01.conf").open("a") as file:
        file.write("ssh_port = 1\nboot_linaro_timeout = 1\n")
    known = lab.folder / "known_hosts"
    known.write_text(known.read_text().replace(known.read_text().split()[0], "[127.0.0.1]:1"))

    status, found, not_looked_at = doctor(lab, job(lab, guests()))

    assert (status, found["host"]["severity"]) == (4, "missing")
    assert found["host"]["remedy"]
    assert not_looked_at == ["what the host has for VMs"]


def test_board_is_not_touched_unless_asked_for(lab: Lab) -> None:
    (lab.config / "device-types/board.conf").write_text("client_type = bootloader\n")
    (lab.config / "devices/board01.conf").write_text(
        "device_type = board\nhard_reset_command = touch reset\nconnection_command = touch used\n"
    )

    status, found, not_looked_at = doctor(lab, job(lab, guests(), host="board"))

    assert (status, "host" in found) == (0, False)
    assert not_looked_at == ["the host, which has to be booted: --boot"]
    assert not {"reset", "used"} & {path.name for path in lab.folder.iterdir()}


def test_boot_medium_that_is_missing_is_found_before_any_boot(lab: Lab) -> None:
    (lab.config / "device-types/board.conf").write_text("client_type = bootloader\n")
    device = lab.config / "devices/board01.conf"
    medium = lab.folder / "sdx"
    keys = "device_type = board\nhard_reset_command = true\nconnection_command = cat\n"
    keys += f"media_device = {medium}\n"
    path = job(lab, guests(), host="board")
    document = json.loads(path.read_text())
    document["actions"].insert(
        0,
        {"command": "deploy_linaro_image", "parameters": {"image": "vm.img", "role": "host"}},
    )
    path.write_text(json.dumps(document))

    device.write_text(keys)
    status, found, _ = doctor(lab, path)
    assert (status, found[f"boot medium {medium}"]["severity"]) == (4, "missing")

    device.write_text(f"{keys}media_attach_command = true\n")
    status, found, _ = doctor(lab, path)
    assert (status, found[f"boot medium {medium}"]["severity"]) == (0, "ok")

    medium.mkdir()
    status, found, _ = doctor(lab, path)
    assert (status, found[f"boot medium {medium}"]["severity"]) == (3, "missing")


def test_program_of_the_console_that_is_missing_is_found_before_any_boot(lab: Lab) -> None:
    (lab.config / "device-types/board.conf").write_text("client_type = bootloader\n")
    (lab.config / "devices/board01.conf").write_text(
        "device_type = board\nhard_reset_command = true\nconnection_command = no-such-program 1\n"
    )

    status, found, _ = doctor(lab, job(lab, guests(), host="board"))

    assert (status, found["console"]["severity"]) == (3, "missing")
    assert "there is no program 'no-such-program' here" in found["console"]["found"]


def test_job_file_of_that_name_is_still_a_job(lab: Lab) -> None:
    job(lab, guests(), name="doctor")

    done = dispatch(lab, "--validate", "--config-dir", lab.config, "./doctor")

    assert (done.returncode, done.stdout) == (0, "doctor: valid, 2 nodes\n")
    assert dispatch(lab, "doctor").returncode == 2
