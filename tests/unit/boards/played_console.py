# SPDX-License-Identifier: MIT
"""A lab whose board is a program that plays a console."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.boards import BoardSetup, load
from lava_vmgroup.boards.bootloader import Driver
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.console import port
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.console.watch import Watch
from lava_vmgroup.deploy.fetch import JobFiles

CONSOLE = '''\
"""Plays a board: each line of the FIFO "power" is a reset, each line of "boots" how it goes.

Without the FIFO, the command "restart" is the reset.
"""
import os, sys, subprocess

def say(text):
    sys.stdout.write(text)
    sys.stdout.flush()

def boot(fault):
    say("U-Boot 2023.01\\r\\n" + "Hit any key to stop autoboot:  2 " * (fault != "prompt"))
    if fault == "deaf":
        return
    if fault == "line":
        say(f"stopped by {sys.stdin.readline()!r}\\r\\n")
    elif fault not in ("alone", "prompt"):
        while sys.stdin.read(1) != "b":
            pass
    for _ in range({"alone": 0, "prompt": 4, "overlays": 6}.get(fault, 3)):
        say("=> ")
        say("echoed: " + sys.stdin.readline())
    if fault == "hang":
        return
    say("[    0.000000] Linux version 6.1\\r\\n")
    if fault == "panic":
        say("[    1.000000] Kernel panic - not syncing: VFS: Unable to mount root fs\\r\\n")
        return
    say("[    0.900000] Freeing unused kernel memory: 1024K\\r\\n")
    if fault == "login":
        say("board name: ")
        user = sys.stdin.readline().strip()
        say("its word: ")
        if (user, sys.stdin.readline().strip()) != ("tester", "s3cret"):
            return
    say("root@board:~# ")
    if fault == "drop":
        sys.exit()
    subprocess.run(["bash", "--norc", "--noprofile", "-i"], env={"PS1": "root@board:~# "})

say("Connected.\\r\\n")
faults = iter(open("boots").read().split())
while True:
    if os.path.exists("power"):
        with open("power") as power:
            power.read()
    else:
        while sys.stdin.readline() != "restart\\n":
            pass
    boot(next(faults))
'''


@pytest.fixture
def lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job_files: JobFiles
) -> Iterator[Callable[..., Driver]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(port, "_BANNER_S", 0.5)
    (tmp_path / "console.py").write_text(CONSOLE)
    os.mkfifo(tmp_path / "power")
    made: list[Driver] = []

    def make(boots: str, watch: Watch | None = None, **config: object) -> Driver:
        (tmp_path / "boots").write_text(boots)
        keys: dict[str, object] = {
            "hostname": "board01",
            "client_type": "bootloader",
            "connection_command": f"{sys.executable} console.py",
            "hard_reset_command": "echo >power",
            "power_off_cmd": "echo off >>switched",
            "bootloader_prompt": "=> ",
            "boot_cmds": "setenv serverip {SERVER_IP}, load, boot",
            "boot_cmds_ramdisk": "tftp {KERNEL}, tftp {RAMDISK}, {BOOTX}",
            "test_image_prompts": ("root@board:~# ",),
            "boot_retries": 1,
            "bootloader_timeout": 1.0,
            "image_boot_msg_timeout": 1.0,
            **config,
        }
        setup = BoardSetup(
            config=DeviceConfig(**keys),  # type: ignore[arg-type]
            dispatcher=DispatcherConfig(
                lava_server_ip="10.0.2.2",
                lava_image_tmpdir=tmp_path / "tftp",
                host_command_retries=2,
            ),
            recorder=Recorder(tmp_path / "console.log"),
            log=NodeLog("board01"),
            files=job_files,
            job="job-1",
            watch=watch,
        )
        driver = load(setup)
        assert isinstance(driver, Driver)
        made.append(driver)
        return driver

    yield make
    for driver in made:
        driver.close()


def soon() -> Deadline:
    return Deadline.after("the test", 30.0)


def log(tmp_path: Path) -> str:
    return (tmp_path / "console.log").read_text()
