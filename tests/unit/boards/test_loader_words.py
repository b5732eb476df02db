# SPDX-License-Identifier: MIT
"""A boot loader that refuses a command, fails a load or is back at its prompt is understood."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lava_vmgroup.base.errors import (
    InfrastructureError,
)
from lava_vmgroup.boards.bootloader import Driver
from lava_vmgroup.config.boot_keys import LoadAddresses
from lava_vmgroup.console.escapes import plain
from lava_vmgroup.deploy.tftp import KernelFiles
from tests.unit.boards.played_console import log, soon

LOADER = """\
import os, subprocess, sys, time

def say(text):
    sys.stdout.write(text)
    sys.stdout.flush()

if {echo!r}:
    subprocess.run(["stty", "sane", "-icanon"])
say("U-Boot 2023.01\\r\\n{autoboot}")
while sys.stdin.read(1) != {key!r}:
    pass
say("\\r\\n")
answers = {answers!r}
while True:
    say({prompt!r})
    command = sys.stdin.readline().strip()
    for begin, answer in answers:
        if command.startswith(begin):
            for part in answer:
                say(part)
                time.sleep(0.1)
            break
    if command == "boot" and {boots!r}:
        break
say("Starting kernel ...\\r\\nLinux version 6.1\\r\\n")
say("root@board:~# ")
os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
"""


BAD_MAGIC = ("boot", ["Bad Linux ARM64 Image magic!\r\n"])


NOT_FOUND = ("tftp", ["Loading: *\b\r\nTFTP error: 'File not found' (1)\r\nNot retrying...\r\n"])


AGAIN = ("tftp", ["TFTP error: 'timed out' (0)\r\nStarting again\r\n", "Bytes transferred = 9\r\n"])


MARKS = ("tftp", ["Loading: ", *["#"] * 9, "\r\n\t ", *["####"] * 3, "\r\n\t 5 MiB/s\r\ndone\r\n"])

NOT_MERGED = ("fdt", ["failed on fdt_overlay_apply(): FDT_ERR_NOTFOUND\r\n"])
NO_OVERLAYS = ("fdt", ["fdt - flattened device tree\r\n\r\nUsage:\r\nfdt addr\r\n"])
ADDRESSES = LoadAddresses(kernel="0x1", ramdisk="0x2", dtb="0x3", dtbo="0x4")


def loader(
    tmp_path: Path,
    *answers: tuple[str, list[str]],
    prompt: str = "=> ",
    autoboot: str = "Hit any key to stop autoboot:  2 ",
    key: str = "b",
    boots: bool = False,
    echo: bool = True,
) -> dict[str, object]:
    """The configuration of a board whose boot loader says this to its commands."""
    text = LOADER.format(
        answers=answers, prompt=prompt, autoboot=autoboot, key=key, boots=boots, echo=echo
    )
    (tmp_path / "loader.py").write_text(text)
    return {
        "connection_command": f"{sys.executable} loader.py",
        "hard_reset_command": "true",
        "has_kernel_messages": False,
        "boot_retries": 3,
        "bootloader_timeout": 120.0,
        "boot_cmd_timeout": 120.0,
        "image_boot_msg_timeout": 120.0,
    }


def test_boot_loader_that_is_back_at_its_prompt_is_said_at_once(
    lab: Callable[..., Driver], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    driver = lab("", **loader(tmp_path, BAD_MAGIC), boot_cmds="setenv a b, boot")

    with pytest.raises(InfrastructureError, match="back at its prompt '=>' after 'boot'") as caught:
        driver.boot(soon())
    assert caught.value.message.endswith("Bad Linux ARM64 Image magic!")
    assert "boot attempt" not in caplog.text


def test_file_of_the_job_that_cannot_be_loaded_ends_the_boot(
    lab: Callable[..., Driver], tmp_path: Path
) -> None:
    kernel = tmp_path / "Image"
    kernel.write_bytes(b"kernel")
    # A stale kernel in the board's memory would boot.
    keys = loader(tmp_path, NOT_FOUND, boots=True)
    driver = lab("", **keys, boot_cmds="tftp {KERNEL}, boot")

    driver.deploy_kernel(KernelFiles(kernel=kernel), soon())
    with pytest.raises(InfrastructureError, match="cannot load a file of the job after 'tftp"):
        driver.boot(soon())


@pytest.mark.parametrize("answer", [NOT_MERGED, NO_OVERLAYS])
def test_overlay_that_is_not_applied_ends_the_boot(
    lab: Callable[..., Driver], tmp_path: Path, answer: tuple[str, list[str]]
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"kernel")
    keys = loader(tmp_path, answer, boots=True)
    driver = lab("", **keys, boot_cmds="{APPLY_DTBO_COMMANDS}, boot", z_load_addrs=ADDRESSES)

    driver.deploy_kernel(KernelFiles(kernel=file, dtb=file, dtbos=(file,)), soon())
    with pytest.raises(InfrastructureError, match="cannot change the device tree after 'fdt apply"):
        driver.boot(soon())


def test_load_that_succeeds_in_the_end_is_no_failure(
    lab: Callable[..., Driver], tmp_path: Path
) -> None:
    kernel = tmp_path / "Image"
    kernel.write_bytes(b"kernel")
    driver = lab("", **loader(tmp_path, AGAIN, boots=True), boot_cmds="tftp {KERNEL}, boot")

    driver.deploy_kernel(KernelFiles(kernel=kernel), soon())

    assert driver.boot(soon()).run("true", soon()) == (0, "")


@pytest.mark.parametrize("prompt", ["U-Boot# ", "ARNDALE5250 # ", "# "])
def test_hash_marks_of_a_download_are_no_prompt(
    lab: Callable[..., Driver], tmp_path: Path, prompt: str
) -> None:
    keys = loader(tmp_path, MARKS, prompt=prompt, boots=True)
    driver = lab(
        "", **keys, bootloader_prompt="#", boot_cmds="setenv a '#', tftp x, setenv c, boot"
    )

    assert driver.boot(soon()).run("true", soon()) == (0, "")
    told = re.sub(r"(\r|\n|\^J)+", "\n", plain(log(tmp_path)))
    assert f"{prompt}tftp x\nLoading: #########\n" in told
    assert f"done\n{prompt}setenv c\n{prompt}boot\n" in told


def test_console_without_an_echo_is_talked_to(lab: Callable[..., Driver], tmp_path: Path) -> None:
    keys = loader(tmp_path, boots=True, echo=False)

    driver = lab("", **keys, boot_cmds="setenv a, setenv b, boot")

    assert driver.boot(soon()).run("true", soon()) == (0, "")


@pytest.mark.parametrize(
    ("autoboot", "key"),
    [
        ("Hit any key to stop autoboot:  2 ", "b"),
        ("Press SPACE to abort autoboot in 2 seconds", " "),
        ("Hit ESC to stop autoboot:  3 ", "\x1b"),
        ("Press 's' to stop autoboot, or any key", "s"),
        ("autoboot in 5 seconds", "b"),
    ],
)
def test_autoboot_is_interrupted_as_its_message_says(
    lab: Callable[..., Driver], tmp_path: Path, autoboot: str, key: str
) -> None:
    keys = loader(tmp_path, autoboot=autoboot, key=key, boots=True)

    assert lab("", **keys, boot_cmds="boot").boot(soon()).run("true", soon()) == (0, "")
