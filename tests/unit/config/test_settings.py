# SPDX-License-Identifier: MIT
"""Settings of a job that override the lab's, for boards and VMs alike."""

import re
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from lava_vmgroup.base.errors import JobError
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.settings import (
    BootSettings,
    DeploySettings,
    boot_problems,
    deploy_problems,
)
from lava_vmgroup.console.login import login_of

BOARD = DeviceConfig(
    hostname="board01",
    device_type="arndale",
    client_type="bootloader",
    login_prompt="login:",
    username="root",
    password="labs",
    boot_cmds="load {STORAGE}, boot",
    boot_cmds_oe="load oe, boot",
    boot_options=MappingProxyType(
        {
            "storage": {"default": "mmc 0", "allowed": "mmc 0\nusb 0"},
            "boot_cmds": {"default": "boot_cmds"},
        }
    ),
    extra=MappingProxyType({"boot_cmds_mine": "mine"}),
)
VM = DeviceConfig(
    device_type="kvm-arm",
    client_type="qemu",
    root_device="/dev/vda2",
    boot_cmds="root=/dev/vda2 rw console=ttyAMA0,38400n8",
)


def texts(config: DeviceConfig) -> list[str]:
    return [command.text for command in config.boot_commands()]


def test_login_of_the_job_takes_the_place_of_the_labs() -> None:
    given = {"login_prompt": "name:", "username": "tester", "login_commands": ["sudo su"]}

    login = login_of(DeploySettings.of(given).over(BOARD))

    assert (login.login_prompt, login.username) == ("name:", "tester")
    assert tuple(login.login_commands) == ("sudo su",)
    assert login.password == "labs"


def test_password_is_in_no_representation() -> None:
    settings = DeploySettings.of({"password_prompt": "word:", "password": "s3cret"})

    assert "s3cret" not in repr(settings) + repr(settings.over(BOARD))


def test_openembedded_system_boots_by_its_own_commands() -> None:
    assert texts(DeploySettings(target_type="oe").over(BOARD)) == ["load oe", "boot"]
    assert texts(DeploySettings(target_type="debian").over(BOARD)) == ["load {STORAGE}", "boot"]


def test_installer_gets_the_extended_time() -> None:
    settings = DeploySettings(target_type="debian_installer")

    assert settings.over(BOARD).boot_linaro_timeout == BOARD.extended_boot_timeout


def test_root_partition_of_a_vm_is_in_its_kernels_arguments() -> None:
    config = DeploySettings.of({"root_part": 3}).over(VM)

    assert config.kernel_arguments() == "root=/dev/vda3 rw console=ttyAMA0,38400n8"
    assert config.root_part == 3


def test_boot_commands_of_the_job() -> None:
    settings = BootSettings.of({"boot_cmds": ["setenv a 'b, c'", "boot"]})

    assert texts(settings.over(BOARD)) == ["setenv a 'b, c'", "boot"]
    assert settings.over(VM).kernel_arguments() == "setenv a 'b, c' boot"


def test_prompts_of_one_boot() -> None:
    settings = BootSettings(test_image_prompt="mine> ", interrupt_boot_prompt="stop me")

    config = settings.over(BOARD)

    assert config.test_image_prompts == (*BOARD.test_image_prompts, "mine> ")
    assert config.interrupt_boot_prompt == "stop me"


def test_option_is_a_tag_of_the_boot_commands() -> None:
    chosen = BootSettings(options=("storage=usb 0",)).over(BOARD)

    assert BOARD.boot_tags == {"STORAGE": "mmc 0"}
    assert chosen.boot_tags == {"STORAGE": "usb 0"}


@pytest.mark.parametrize(
    ("key", "first"), [("boot_cmds_oe", "load oe"), ("boot_cmds_mine", "mine")]
)
def test_option_boot_cmds_chooses_the_commands(key: str, first: str) -> None:
    assert texts(BootSettings(options=(f"boot_cmds={key}",)).over(BOARD))[0] == first


@pytest.mark.parametrize(
    ("allowed", "values"),
    [
        ("0,1", ("0", "1")),
        ("r1p4, r1p5", ("r1p4", "r1p5")),
        ("mmc 0\nusb 0", ("mmc 0", "usb 0")),
        ('["a,b", "c"]', ("a,b", "c")),
    ],
)
def test_allowed_values_are_separated_as_in_v1(allowed: str, values: tuple[str, ...]) -> None:
    device = replace(BOARD, boot_options={"rootfs": {"default": "0", "allowed": allowed}})

    for value in values:
        chosen = BootSettings(options=(f"rootfs={value}",)).over(device)
        assert chosen.boot_tags == {"ROOTFS": value}
    with pytest.raises(JobError, match="cannot be 'other'"):
        BootSettings(options=("rootfs=other",)).over(device)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("stroage=usb 0", "no boot option 'stroage'.*known: storage, boot_cmds"),
        ("storage=usb 1", "storage of .* cannot be 'usb 1'.*allowed: mmc 0, usb 0"),
        ("boot_cmds=nothing", "names 'nothing', which is no key"),
    ],
)
def test_option_that_the_device_does_not_have_is_refused(option: str, message: str) -> None:
    with pytest.raises(JobError) as caught:
        BootSettings(options=(option,)).over(BOARD)
    assert re.search(message, caught.value.describe())


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"login_prompt": "login:"}, "login_prompt: it needs username"),
        ({"password_prompt": "word:"}, "password_prompt: it needs password"),
        ({"login_commands": ["su"]}, "login_commands: they follow a login"),
        ({"login_prompt": "(", "username": "me"}, "login_prompt: expected a regular expression"),
        ({"login_prompt": "(a+)*:", "username": "me"}, "login_prompt: a repeated group holds"),
        ({"password_prompt": ".*", "password": "x"}, "password_prompt: expected an expression for"),
        ({"rootfstype": "btrfs"}, "rootfstype: no file system is made"),
    ],
)
def test_contradicting_deploy_settings_are_refused(
    parameters: dict[str, Any], problem: str
) -> None:
    (found,) = deploy_problems(parameters)

    assert found.startswith(problem)


@pytest.mark.parametrize("expression", ["login(?i):", "(login)(?im)", "login:(?s)"])
def test_flags_of_an_expression_may_stand_anywhere_as_in_lava(expression: str) -> None:
    parameters = {"login_prompt": expression, "username": "me"}

    assert list(deploy_problems(parameters)) == []
    assert list(boot_problems({"test_image_prompt": expression}, typed_at_prompt=True)) == []


def test_usual_file_systems_are_accepted() -> None:
    assert list(deploy_problems({"rootfstype": "ext4", "bootfstype": "vfat"})) == []


def test_bad_boot_command_of_the_job_is_refused() -> None:
    parameters = {"boot_cmds": ["sendcontrol"], "test_image_prompt": "["}

    prompt, command = boot_problems(parameters, typed_at_prompt=True)

    assert prompt.startswith("test_image_prompt: expected a regular expression")
    assert command.startswith("boot_cmds: 'sendcontrol' does not name one control character")
    assert len(list(boot_problems(parameters, typed_at_prompt=False))) == 1
