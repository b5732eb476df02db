# SPDX-License-Identifier: MIT
"""Faults of a board that a real one shows too rarely: a scripted console plays them.

That the dialogue is the real U-Boot's and Linux's is shown by the tests of the emulated board.
"""

import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import (
    ConfigurationError,
    DeadlineExpired,
    InfrastructureError,
    JobError,
    VMGroupError,
)
from lava_vmgroup.base.log import LOGGER, NodeLog
from lava_vmgroup.boards import BoardSetup, bootloader, load
from lava_vmgroup.boards.bootloader import Driver
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.config.settings import BootSettings, DeploySettings
from lava_vmgroup.console.escapes import plain
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.console.watch import Sighting, Watch
from lava_vmgroup.deploy.fetch import JobFiles
from lava_vmgroup.deploy.tftp import KernelFiles

CONSOLE = '''\
"""Plays a board: each line of the FIFO "power" is a reset, each line of "boots" how it goes.

Without the FIFO, the command "restart" is the reset.
"""
import os, sys, subprocess

def say(text):
    sys.stdout.write(text)
    sys.stdout.flush()

def boot(fault):
    say("U-Boot 2023.01\\r\\nHit any key to stop autoboot:  2 ")
    if fault == "deaf":
        return
    while sys.stdin.read(1) != "b":
        pass
    for _ in range(3):
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
    monkeypatch.setattr(bootloader, "_BANNER_S", 0.5)
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


def test_autoboot_is_interrupted_and_commands_are_typed(
    lab: Callable[..., Driver], tmp_path: Path
) -> None:
    shell = lab("fine").boot(soon())

    assert shell.run("echo $((6 * 7))", soon()) == (0, "42")
    assert "echoed: setenv serverip 10.0.2.2" in log(tmp_path)


def test_offered_files_are_named_in_the_boot_commands(
    lab: Callable[..., Driver], tmp_path: Path
) -> None:
    kernel = tmp_path / "Image"
    kernel.write_bytes(b"kernel")
    driver = lab("fine")

    driver.deploy_kernel(KernelFiles(kernel=kernel, ramdisk=kernel), soon())
    driver.boot(soon())
    driver.close()

    assert "echoed: tftp job-1/ramdisk" in log(tmp_path)
    assert "echoed: bootz ${kernel_addr_r} ${initrd_addr_r}" in log(tmp_path)
    assert list((tmp_path / "tftp").iterdir()) == []


@pytest.mark.parametrize("fault", ["deaf", "hang", "drop"])
def test_failed_boot_is_tried_again(lab: Callable[..., Driver], fault: str) -> None:
    # Each attempt has a console of its own, which begins the script anew.
    driver = lab(f"{fault} fine", boot_retries=2, boot_cmd_timeout=1.0)
    original = driver._disconnect

    def disconnect_and_mend() -> None:
        original()
        Path("boots").write_text("fine")

    driver._disconnect = disconnect_and_mend  # type: ignore[method-assign]

    assert driver.boot(soon()).run("true", soon()) == (0, "")


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ("deaf", DeadlineExpired, "timed out: the boot loader, before 'setenv serverip 10.0.2.2'"),
        ("hang", DeadlineExpired, "timed out: the kernel's first message, limit 1 s; last seen"),
        ("drop", InfrastructureError, "the console was closed"),
    ],
)
def test_end_of_a_failed_boot_says_where_it_stood(
    lab: Callable[..., Driver], fault: str, error: type[VMGroupError], message: str
) -> None:
    driver = lab(fault, boot_cmd_timeout=1.0)

    with pytest.raises(error, match=message):
        driver.boot(soon())


def test_boot_that_panics_is_not_tried_again(
    lab: Callable[..., Driver], caplog: pytest.LogCaptureFixture
) -> None:
    token = CancelToken()

    def end(sighting: Sighting) -> None:
        token.cancel(InfrastructureError(sighting.line))

    driver = lab("panic panic", watch=Watch(end), boot_retries=2)

    with pytest.raises(InfrastructureError, match="Unable to mount root fs"):
        driver.boot(Deadline.after("the test", 20.0, token))
    assert "boot attempt" not in caplog.text


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        (
            {"hard_reset_command": "", "soft_boot_cmd": ""},
            ConfigurationError,
            "has no hard_reset_command",
        ),
        ({"boot_cmds": ""}, ConfigurationError, "has no boot_cmds"),
        ({"boot_cmds": "load {KRENEL}"}, ConfigurationError, "KRENEL"),
        ({"connection_command": "tcp://nowhere"}, ConfigurationError, "write tcp://host:port"),
        ({"hard_reset_command": "echo no power; exit 3"}, InfrastructureError, "exit status 3"),
    ],
)
def test_wrong_configuration_is_told(
    lab: Callable[..., Driver],
    config: dict[str, object],
    error: type[VMGroupError],
    message: str,
) -> None:
    with pytest.raises(error) as caught:
        lab("fine", **config).boot(soon())
    assert message in caught.value.describe()


def test_unknown_client_type_is_refused_with_the_known_ones(lab: Callable[..., Driver]) -> None:
    with pytest.raises(ConfigurationError, match="no driver for client_type 'fastmodel'") as caught:
        lab("fine", client_type="fastmodel")
    assert "bootloader" in str(caught.value.hint)


def test_image_is_written_while_the_board_is_off(
    lab: Callable[..., Driver], tmp_path: Path
) -> None:
    image = tmp_path / "host.img"
    image.write_bytes(b"host image")
    (tmp_path / "sdcard").touch()
    driver = lab(
        "fine",
        media_device=tmp_path / "sdcard",
        media_attach_command="echo attached >>switched",
        media_detach_command="cat sdcard >>switched",
    )

    driver.deploy_image(image, soon())

    assert (tmp_path / "switched").read_text() == "off\nattached\nhost image"


def test_medium_goes_back_to_the_board_when_writing_fails(
    lab: Callable[..., Driver], tmp_path: Path
) -> None:
    image = tmp_path / "host.img"
    image.write_bytes(b"host image")
    driver = lab(
        "fine",
        media_device=tmp_path,
        media_attach_command="echo attached >>switched",
        media_detach_command="echo detached >>switched",
    )

    with pytest.raises(ConfigurationError, match="is a folder, not a block device"):
        driver.deploy_image(image, soon())

    assert (tmp_path / "switched").read_text() == "off\nattached\ndetached\n"


def test_root_over_the_network_has_boot_commands_of_its_own(
    lab: Callable[..., Driver], tmp_path: Path
) -> None:
    (tmp_path / "rootfs").mkdir()
    archive, kernel = tmp_path / "rootfs.tar", tmp_path / "Image"
    subprocess.run(["tar", "-cf", archive, "rootfs"], check=True)
    kernel.write_bytes(b"kernel")
    driver = lab("fine", boot_cmds_nfs="tftp {KERNEL}, setenv bootargs {NFSROOTFS}, boot")

    driver.deploy_kernel(KernelFiles(kernel=kernel, ramdisk=kernel, nfsrootfs=archive), soon())
    driver.boot(soon())

    root = tmp_path / "tftp/job-1/nfsrootfs"
    assert f"echoed: setenv bootargs {root}\n" in log(tmp_path).replace("\r", "")
    assert (root / "rootfs").is_dir()


def test_settings_of_the_job_are_used_by_the_next_boot(
    lab: Callable[..., Driver], tmp_path: Path
) -> None:
    driver = lab("fine")

    settings = BootSettings(boot_cmds=("mine", "too", "boot"))
    driver.configure(settings.over(driver._config))
    driver.boot(soon())

    assert "echoed: mine" in log(tmp_path)
    assert "echoed: load" not in log(tmp_path)


def test_login_of_the_job_opens_the_system_and_its_password_is_told_nowhere(
    lab: Callable[..., Driver], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, LOGGER.name)
    parameters = {"login_prompt": "board name:", "username": "tester"}
    secret = {"password_prompt": "its word:", "password": "s3cret"}
    driver = lab("login")

    driver.configure(DeploySettings.of({**parameters, **secret}).over(driver._config))

    assert driver.boot(soon()).run("true", soon()) == (0, "")
    assert caplog.messages
    assert "s3cret" not in caplog.text + log(tmp_path)


@pytest.mark.parametrize(
    ("config", "switched"),
    [
        ({"power_on_cmd": "echo on >>switched; echo >power"}, "off\non\n"),
        ({"soft_boot_cmd": "restart"}, ""),
    ],
)
def test_board_without_hard_reset_is_restarted_otherwise(
    lab: Callable[..., Driver], tmp_path: Path, config: dict[str, object], switched: str
) -> None:
    if not switched:
        (tmp_path / "power").unlink()
    driver = lab("fine", hard_reset_command="", **config)

    assert driver.boot(soon()).run("true", soon()) == (0, "")
    switches = tmp_path / "switched"
    assert (switches.read_text() if switches.exists() else "") == switched


def test_power_command_that_fails_once_is_run_again(
    lab: Callable[..., Driver], tmp_path: Path
) -> None:
    driver = lab("fine", power_off_cmd="echo off >>switched; test $(wc -l <switched) = 2")

    driver.power_off(soon())

    assert (tmp_path / "switched").read_text() == "off\noff\n"


def test_console_is_left_with_the_labs_words(lab: Callable[..., Driver], tmp_path: Path) -> None:
    driver = lab("fine", connection_command_terminate="echo left >farewell; exit\n")
    driver.boot(soon())

    driver.close()

    assert (tmp_path / "farewell").read_text() == "left\n"


def test_firmware_of_a_versatile_express_is_refused(
    lab: Callable[..., Driver], tmp_path: Path
) -> None:
    with pytest.raises(JobError, match="board01 takes no bl1"):
        lab("fine").deploy_kernel(KernelFiles(kernel=tmp_path, bl1=tmp_path), soon())


def test_device_without_medium_takes_no_image(lab: Callable[..., Driver], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has no boot medium") as caught:
        lab("fine").deploy_image(tmp_path, soon())
    assert "media_device" in str(caught.value.hint)


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
