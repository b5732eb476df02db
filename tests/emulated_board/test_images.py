# SPDX-License-Identifier: MIT
"""The images of the emulated board, as they were built."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

COMMAND_TIMEOUT_S = 60.0


@pytest.mark.parametrize("image", ["vm-armhf.img", "vm-arm64.img"])
def test_vm_image_carries_its_boot_files(image: str, images: Path, tmp_path: Path) -> None:
    for name in ("vmlinuz", "initrd.img", "extlinux/extlinux.conf"):
        copy = tmp_path / Path(name).name
        subprocess.run(
            [
                "/sbin/debugfs",
                "-R",
                f"dump /boot/{name} {copy}",
                f"{images / image}?offset=1048576",
            ],
            capture_output=True,
            check=True,
            timeout=COMMAND_TIMEOUT_S,
        )
        assert copy.stat().st_size > 0

    assert "console=ttyAMA0 root=/dev/vda1 rw" in (tmp_path / "extlinux.conf").read_text()
    assert (images / image).stat().st_size <= 64 * 1024 * 1024


def test_everything_in_an_image_belongs_to_root(images: Path) -> None:
    owners = subprocess.run(
        ["/sbin/debugfs", "-R", "ls -l /etc", f"{images / 'host.img'}?offset=1048576"],
        capture_output=True,
        text=True,
        check=True,
        timeout=COMMAND_TIMEOUT_S,
    ).stdout

    fields = [line.split() for line in owners.splitlines() if line.strip()]
    assert len(fields) > 5
    assert {(uid, gid) for _, _, _, uid, gid, *_ in fields} == {("0", "0")}


def test_warm_build_needs_no_network(build: list[str], images: Path) -> None:
    env = {**os.environ, "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}

    again = subprocess.run(
        build, env=env, capture_output=True, text=True, check=True, timeout=COMMAND_TIMEOUT_S
    )

    assert Path(again.stdout.strip()) == images


def test_missing_tools_are_named_with_their_package(build: list[str]) -> None:
    env = {**os.environ, "PATH": "/nonexistent"}

    done = subprocess.run(build, env=env, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S)

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "qemu-system-arm" in done.stderr
