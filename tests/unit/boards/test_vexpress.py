# SPDX-License-Identifier: MIT
"""The firmware of a Versatile Express: a scripted console plays its controller and its menu."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import ConfigurationError, InfrastructureError, JobError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.boards import Board, BoardSetup, load
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.deploy.fetch import JobFiles
from lava_vmgroup.deploy.tftp import KernelFiles

CONSOLE = '''\
"""Plays the board: its controller, UEFI's menu, Linux; the file "usb.on" is its USB link."""
import os, subprocess, sys

def say(text):
    sys.stdout.write(text)
    sys.stdout.flush()

def read():
    return sys.stdin.readline().strip()

def controller():
    say("ARM V2M-Juno Boot loader\\r\\nPress Enter to stop auto boot...\\r\\n")
    read()
    prompt = "Cmd> "
    while True:
        say(prompt)
        command = read()
        say("controller: " + command + "\\r\\n")
        if command == "USB_ON":
            open("usb.on", "w").close()
        elif command == "USB_OFF":
            os.remove("usb.on")
        elif command == "flash":
            prompt = "Flash> "
        elif command == "exit":
            prompt = "Cmd> "
        elif command == "reboot":
            return

def menu():
    say("The default boot selection will start in   5 seconds\\r\\n")
    while sys.stdin.read(1) != "b":
        pass
    say("[1] Linux\\r\\n[a] Boot Manager\\r\\nStart: ")
    assert read() == "a"
    say("[3] Remove\\r\\nChoice: ")
    assert read() == "5"
    say("Start: ")
    assert read() == "1"

while True:
    with open("power") as power:
        power.read()
    controller()
    menu()
    say("Linux version 3.10\\r\\nFreeing unused kernel memory\\r\\n")
    subprocess.run(["bash", "--norc", "--noprofile", "-i"], env={"PS1": "root@board:~# "})
'''

MENU = "sendline a, expect Choice:, sendline 5, expect Start:, sendline 1"


@pytest.fixture
def lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job_files: JobFiles
) -> Iterator[Callable[..., Board]]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "console.py").write_text(CONSOLE)
    (tmp_path / "usb/SOFTWARE/TC2").mkdir(parents=True)
    uefi(tmp_path).write_text("first firmware")
    os.mkfifo(tmp_path / "power")
    made: list[Board] = []

    def make(**config: object) -> Board:
        keys: dict[str, object] = {
            "hostname": "tc2",
            "client_type": "vexpress",
            "connection_command": f"{sys.executable} console.py",
            "connection_command_pattern": "",
            "hard_reset_command": "echo >power",
            "interrupt_boot_prompt": "The default boot selection will start in",
            "bootloader_prompt": "Start:",
            "boot_cmds": MENU,
            "boot_cmds_ramdisk": MENU,
            "test_image_prompts": ("root@board:~# ",),
            "boot_retries": 1,
            "vexpress_mount_command": "test -e usb.on && cp -r usb/. {MOUNT_POINT}",
            "vexpress_umount_command": "cp -r {MOUNT_POINT}/. usb && rm -r {MOUNT_POINT}/*",
            **config,
        }
        setup = BoardSetup(
            config=DeviceConfig(**keys),  # type: ignore[arg-type]
            dispatcher=DispatcherConfig(lava_image_tmpdir=tmp_path / "tftp"),
            recorder=Recorder(tmp_path / "console.log"),
            log=NodeLog("tc2"),
            files=job_files,
            job="job-1",
        )
        made.append(load(setup))
        return made[-1]

    yield make
    for board in made:
        board.close()


def uefi(folder: Path) -> Path:
    return folder / "usb/SOFTWARE/TC2/uefi.bin"


def soon() -> Deadline:
    return Deadline.after("the test", 30.0)


def offer(folder: Path, **files: str) -> KernelFiles:
    """Kernel files with these contents."""
    made = {}
    for name, content in {"kernel": "kernel", **files}.items():
        made[name] = folder / f"my-{name}"
        made[name].write_text(content)
    return KernelFiles(**made)  # type: ignore[arg-type]


def test_controller_and_menu_lead_to_the_shell(lab: Callable[..., Board], tmp_path: Path) -> None:
    assert lab().boot(soon()).run("echo $((6 * 7))", soon()) == (0, "42")

    lines = (tmp_path / "console.log").read_text().replace("\r", "").splitlines()
    said = [line.rpartition("controller: ")[2] for line in lines if "controller: " in line]
    erase = "eraserange 0x0FFC0000 0x0FFEFFFF"
    assert said == ["", "USB_ON", "USB_OFF", "flash", erase, "exit", "reboot"][1:]
    assert uefi(tmp_path).read_text() == "first firmware"


def test_other_boards_keep_their_settings_elsewhere(
    lab: Callable[..., Board], tmp_path: Path
) -> None:
    juno = {"low": "0x0BFC0000", "high": "0x0BFEFFFF"}

    lab(**{f"vexpress_flash_range_{end}": place for end, place in juno.items()}).boot(soon())

    assert "controller: eraserange 0x0BFC0000 0x0BFEFFFF" in (tmp_path / "console.log").read_text()


def test_firmware_in_one_archive_is_refused(lab: Callable[..., Board]) -> None:
    with pytest.raises(ConfigurationError, match="vexpress_complete_firmware is set"):
        lab(vexpress_complete_firmware=True)


def test_firmware_of_a_job_is_replaced_by_the_first_one_after_it(
    lab: Callable[..., Board], tmp_path: Path
) -> None:
    board = lab()
    board.deploy_kernel(offer(tmp_path, bootloader="my firmware"), soon())
    board.boot(soon())
    mine = uefi(tmp_path).read_text()
    board.close()

    lab().boot(soon())

    assert mine == "my firmware"
    assert uefi(tmp_path).read_text() == "first firmware"
    assert uefi(tmp_path).with_name("backup-uefi.bin").read_text() == "first firmware"


def test_labs_firmware_serves_jobs_without_one(lab: Callable[..., Board], tmp_path: Path) -> None:
    (tmp_path / "lab.bin").write_text("the lab's firmware")

    lab(vexpress_uefi_default=f"file://{tmp_path}/lab.bin").boot(soon())

    assert uefi(tmp_path).read_text() == "the lab's firmware"


def test_trusted_firmware_goes_where_the_lab_says(
    lab: Callable[..., Board], tmp_path: Path
) -> None:
    board = lab(vexpress_bl1_path="SOFTWARE/bl1.bin")
    board.deploy_kernel(offer(tmp_path, bl1="my bl1"), soon())
    board.boot(soon())

    assert (tmp_path / "usb/SOFTWARE/bl1.bin").read_text() == "my bl1"
    with pytest.raises(JobError, match="tc2 has no place for bl0"):
        board.deploy_kernel(offer(tmp_path, bl0="my bl0"), soon())


def test_storage_that_does_not_come_is_told(
    lab: Callable[..., Board], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lava_vmgroup.boards.vexpress._APPEARS_S", 0.5)

    with pytest.raises(InfrastructureError, match="vexpress_mount_command failed"):
        lab(vexpress_mount_command="false {MOUNT_POINT}").boot(soon())

    assert (tmp_path / "console.log").read_text().count("controller: USB_ON") == 2
