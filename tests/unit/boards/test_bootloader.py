# SPDX-License-Identifier: MIT
"""Faults of a board that a real one shows too rarely: a scripted console plays them.

That the dialogue is the real U-Boot's and Linux's is shown by the tests of the emulated board.
"""

import logging
import subprocess
from collections.abc import Callable
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
from lava_vmgroup.base.log import LOGGER
from lava_vmgroup.boards.bootloader import Driver
from lava_vmgroup.config.settings import BootSettings, DeploySettings
from lava_vmgroup.console.watch import Sighting, Watch
from lava_vmgroup.deploy.tftp import KernelFiles
from tests.unit.boards.played_console import log, soon


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


@pytest.mark.parametrize("keys", [{}, {"media_device": Path("/dev/null")}])
def test_console_without_its_program_is_refused_before_the_board_is_touched(
    lab: Callable[..., Driver], tmp_path: Path, keys: dict[str, object]
) -> None:
    driver = lab("fine", connection_command="no-such-program 1", **keys)

    with pytest.raises(ConfigurationError, match="there is no program 'no-such-program' here"):
        driver.deploy_image(tmp_path / "image", soon()) if keys else driver.boot(soon())

    assert not (tmp_path / "switched").exists()


def test_board_without_boot_commands_boots_by_itself(lab: Callable[..., Driver]) -> None:
    shell = lab("alone", boot_cmds="", minimal_boot=True).boot(soon())

    assert shell.run("echo $((6 * 7))", soon()) == (0, "42")


def test_missing_boot_commands_are_refused_before_the_reset(
    lab: Callable[..., Driver], tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="board01 has no boot_cmds"):
        lab("fine", boot_cmds="").boot(soon())

    assert log(tmp_path) == ""


def test_kernel_alone_is_booted_as_one_with_a_ramdisk_if_there_is_no_other_way(
    lab: Callable[..., Driver], tmp_path: Path
) -> None:
    kernel = tmp_path / "Image"
    kernel.write_bytes(b"kernel")
    driver = lab(
        "fine", boot_cmds="", minimal_boot=True, boot_cmds_ramdisk="a, b {KERNEL}, {BOOTX}"
    )

    driver.deploy_kernel(KernelFiles(kernel=kernel), soon())
    driver.boot(soon())

    assert "echoed: b job-1/kernel" in log(tmp_path)


def test_boot_loader_that_comes_to_its_prompt_is_not_interrupted(
    lab: Callable[..., Driver], tmp_path: Path
) -> None:
    lab("prompt", needs_interrupt=False).boot(soon())

    assert "echoed: setenv serverip 10.0.2.2" in log(tmp_path)


@pytest.mark.parametrize(
    ("keys", "sent"),
    [
        ({"interrupt_boot_command": "stop", "interrupt_boot_newline": True}, r"'stop\n'"),
        ({"interrupt_boot_control_character": "cj"}, r"'\x03\n'"),
    ],
)
def test_boot_loader_is_interrupted_by_several_characters(
    lab: Callable[..., Driver], tmp_path: Path, keys: dict[str, object], sent: str
) -> None:
    sources = dict.fromkeys(keys, "board.conf")

    lab("line", sources=sources, **keys).boot(soon())

    assert f"stopped by {sent}" in log(tmp_path)


@pytest.mark.parametrize("fault", ["deaf", "hang", "drop"])
def test_failed_boot_is_tried_again(lab: Callable[..., Driver], fault: str) -> None:
    # Each attempt has a console of its own, which begins the script anew.
    driver = lab(f"{fault} fine", boot_retries=2, boot_cmd_timeout=1.0)
    original = driver._port.disconnect

    def disconnect_and_mend(farewell: str) -> None:
        original(farewell)
        Path("boots").write_text("fine")

    driver._port.disconnect = disconnect_and_mend  # type: ignore[method-assign]

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
