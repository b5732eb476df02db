# SPDX-License-Identifier: MIT
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lava_vmgroup.base.errors import ConfigurationError, JobError
from lava_vmgroup.config import files, inventory
from lava_vmgroup.config.commands import CommandKind

if TYPE_CHECKING:
    from tests.unit.config.conftest import Lab

ARNDALE = r"""
# a board as a v1 lab describes it
device_type = arndale
hostname = ignored
mac = 00:11:22:33:44:55
console_port = 7004

connection_command = telnet %(CONSOLE_SERVER)s %(console_port)s
pdu = /usr/local/bin/pduclient --daemon pdu1
hard_reset_command = %(pdu)s --hostname %(hostname)s --command reboot --port 05
power_off_cmd = %(pdu)s --hostname %(hostname)s --port 05 --command off
test_image_prompts =
    root@arndale:~#
    \(initramfs\)
    [#$]

boot_options =
    rootfs
boot_cmds_ramdisk =
    usb start,
    setenv ethaddr %(mac)s,
    setenv bootargs "'console=ttySAC2,115200n8 root=/dev/ram0 ip=${ipaddr}'",
    tftp ${kernel_addr_r} {KERNEL},
    {BOOTX}

[rootfs]
default = /dev/mmcblk0p3
"""


@pytest.fixture
def arndale(lab: Lab) -> Lab:
    lab.write("device-defaults.conf", "console_server = console1\npower_off_cmd = never\n")
    lab.write("devices/arndale01.conf", ARNDALE)
    return lab


def test_board_of_a_v1_lab_loads(arndale: Lab) -> None:
    board = inventory.load_device("arndale01", arndale.search_path)

    assert (board.hostname, board.device_type) == ("arndale01", "arndale")
    assert (board.client_type, board.driver) == ("bootloader", "bootloader")
    assert board.connection_command == "telnet console1 7004"
    assert "--hostname arndale01 " in board.hard_reset_command
    assert board.power_off_cmd.endswith("--command off")
    assert board.test_image_prompts == ("root@arndale:~#", r"\(initramfs\)", "[#$]")
    assert board.boot_options["rootfs"]["default"] == "/dev/mmcblk0p3"
    assert [command.text for command in board.boot_commands("boot_cmds_ramdisk")] == [
        "usb start",
        "setenv ethaddr 00:11:22:33:44:55",
        "setenv bootargs 'console=ttySAC2,115200n8 root=/dev/ram0 ip=${ipaddr}'",
        "tftp ${kernel_addr_r} {KERNEL}",
        "{BOOTX}",
    ]


def test_keys_that_may_be_mistyped_are_told(arndale: Lab) -> None:
    text = "power_of_cmd = false\nssh_prot = 22\nboot_cmds_ramdisks = x\noddity = 50%\n"
    arndale.write("device-types/arndale.conf", text)

    board = inventory.load_device("arndale01", arndale.search_path)

    assert sorted(doubt.partition("arndale.conf: ")[2] for doubt in board.doubts()) == [
        "power_of_cmd: unknown key, so it is ignored; did you mean power_off_cmd?",
        "ssh_prot: unknown key, so it is ignored; did you mean ssh_port?",
    ]


def test_unknown_keys_are_kept(arndale: Lab) -> None:
    arndale.write("device-types/arndale.conf", "oddity = 50%\n")

    board = inventory.load_device("arndale01", arndale.search_path)

    assert board.extra["mac"] == "00:11:22:33:44:55"
    assert board.extra["oddity"] == "50%"
    assert "hostname" not in board.extra


def test_layers_override_each_other_in_v1s_order(lab: Lab) -> None:
    keys = ["boot_part", "root_part", "boot_retries", "qemu_smp", "qemu_memory"]

    def text(layer: int) -> str:
        return "".join(f"{key} = {layer}\n" for key in keys[layer - 1 :])

    lab.write("device-defaults.conf", text(1))
    lab.write("device-types/board.conf", text(2))
    lab.write("devices/b1.conf", "device_type = board\n" + text(3))
    extra = lab.write("extra.conf", text(4))

    board = inventory.load_device("b1", lab.search_path, extra)

    assert [getattr(board, key) for key in keys] == [1, 2, 3, 4, 4]
    assert board.place("root_part") == f"{lab.folder}/device-types/board.conf: root_part"
    assert board.place("send_char") == "b1: send_char"


def test_device_type_file_of_the_lab_overrides_the_shipped_one(arndale: Lab) -> None:
    arndale.write("device-types/arndale.conf", "bootloader_prompt = =>\n")

    board = inventory.load_device("arndale01", arndale.search_path)

    assert board.bootloader_prompt == "=>"
    assert board.send_char is False


def test_extra_file_alone_can_make_a_device(lab: Lab) -> None:
    extra = lab.write("extra.conf", "device_type = arndale\n")

    board = inventory.load_device("new01", lab.search_path, extra)

    assert (board.hostname, board.bootloader_prompt) == ("new01", "ARNDALE5250")


def test_missing_extra_file_is_refused(arndale: Lab) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.conf does not exist"):
        inventory.load_device("arndale01", arndale.search_path, arndale.folder / "gone.conf")


def test_wrong_value_names_the_file_that_has_it(arndale: Lab) -> None:
    arndale.write("device-types/arndale.conf", "boot_retries = many\n")

    with pytest.raises(
        ConfigurationError, match=r"device-types/arndale\.conf: boot_retries = 'many'"
    ):
        inventory.load_device("arndale01", arndale.search_path)


def test_bad_boot_commands_name_the_file_that_has_them(arndale: Lab) -> None:
    file = arndale.write("device-types/arndale.conf", "boot_cmds = setenv a 'b\n")
    board = inventory.load_device("arndale01", arndale.search_path)

    with pytest.raises(ConfigurationError, match=f"{file}: boot_cmds"):
        board.boot_commands()


def test_unknown_device_is_refused_with_the_nearest(arndale: Lab) -> None:
    with pytest.raises(ConfigurationError, match="'arndale1'") as caught:
        inventory.load_device("arndale1", arndale.search_path)

    assert "did you mean 'arndale01'?" in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["../devices/arndale01", "sub/x", "..", ""])
def test_name_that_is_a_path_is_no_device(arndale: Lab, name: str) -> None:
    with pytest.raises(ConfigurationError, match="there is no device"):
        inventory.load_device(name, arndale.search_path)


def test_device_of_an_unknown_type_is_refused(lab: Lab) -> None:
    lab.write("devices/b1.conf", "device_type = arndle\n")

    with pytest.raises(
        ConfigurationError, match="device b1: there is no device type 'arndle'"
    ) as e:
        inventory.load_device("b1", lab.search_path)

    assert "did you mean 'arndale'?" in (e.value.hint or "")


def test_vm_type_keeps_the_commas_of_its_kernel_arguments(lab: Lab) -> None:
    lab.write("device-types/kvm-arm.conf", "root_part = 5\nqemu_memory = 1024\n")

    vm = inventory.load_vm_type("kvm-arm", lab.search_path)

    assert vm.kernel_arguments() == "root=/dev/vda5 rw rootwait console=ttyAMA0,38400n8"
    assert (vm.device_type, vm.qemu_memory, vm.qemu_smp) == ("kvm-arm", 1024, 2)


@pytest.mark.parametrize("name", ["kvm-amr", "../devices/arndale01"])
def test_unknown_vm_type_is_the_jobs_error_and_lists_the_known_ones(
    arndale: Lab, name: str
) -> None:
    with pytest.raises(JobError, match=name) as caught:
        inventory.load_vm_type(name, arndale.search_path)

    assert "kvm-aarch64, kvm-arm" in (caught.value.hint or "")


def test_dummy_ssh_host_is_driven_by_ssh(lab: Lab) -> None:
    lab.write("device-types/server.conf", "client_type = dummy\ndummy_driver = ssh\n")
    lab.write("devices/s1.conf", "device_type = server\ndummy_ssh_host = 10.0.0.7\n")

    host = inventory.load_device("s1", lab.search_path)

    assert (host.driver, host.ssh_host, host.ssh_username) == ("ssh", "10.0.0.7", "root")


def test_known_devices(arndale: Lab) -> None:
    arndale.write("devices/untyped.conf", "")

    assert inventory.known_devices(arndale.search_path) == {"arndale01": "arndale", "untyped": ""}


def test_file_that_changes_is_read_again(arndale: Lab) -> None:
    for kind in ("one", "another"):
        arndale.write("devices/mine.conf", f"device_type = {kind}\n")

        assert inventory.known_devices(arndale.search_path)["mine"] == kind


def test_only_device_of_a_type_is_found(arndale: Lab) -> None:
    assert inventory.find_device("arndale", arndale.search_path).hostname == "arndale01"


def test_target_picks_one_of_several_devices(arndale: Lab) -> None:
    arndale.write("devices/arndale02.conf", "device_type = arndale\n")

    with pytest.raises(ConfigurationError, match="arndale01, arndale02") as caught:
        inventory.find_device("arndale", arndale.search_path)
    found = inventory.find_device("arndale", arndale.search_path, target="arndale02")

    assert "use --target" in (caught.value.hint or "")
    assert found.hostname == "arndale02"


def test_no_device_of_a_type_lists_the_devices(arndale: Lab) -> None:
    with pytest.raises(
        ConfigurationError, match=r"vexpress-tc2; devices: arndale01 \(arndale\)"
    ) as e:
        inventory.find_device("vexpress-tc2", arndale.search_path)

    assert "--target" in (e.value.hint or "")


def test_target_of_another_type_is_refused(arndale: Lab) -> None:
    with pytest.raises(ConfigurationError, match="arndale01 is of type arndale"):
        inventory.find_device("vexpress-tc2", arndale.search_path, target="arndale01")


def test_broken_file_of_another_device_does_not_matter_with_a_target(arndale: Lab) -> None:
    arndale.write("devices/broken.conf", "nonsense\n")

    found = inventory.find_device("arndale", arndale.search_path, target="arndale01")

    assert found.hostname == "arndale01"


SHIPPED = sorted(files.names_in("device-types", files.search_path(Path("/"))))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_device_type_loads_and_its_boot_commands_parse(lab: Lab, name: str) -> None:
    config = inventory.load_vm_type(name, lab.search_path)

    assert config.client_type in {"bootloader", "vexpress", "qemu"}
    for key in ("boot_cmds", "boot_cmds_oe", "boot_cmds_ramdisk", "boot_cmds_nfs"):
        assert config.boot_commands(key) or not getattr(config, key)
    assert config.boot_cmds


def test_shipped_device_types_are_those_of_the_documents() -> None:
    wanted = {"arndale", "vexpress-tc2", "kvm", "kvm-arm", "kvm-aarch32", "kvm-aarch64"}
    assert wanted <= set(SHIPPED)


def test_uefi_question_with_commas_is_one_step(lab: Lab) -> None:
    steps = inventory.load_vm_type("vexpress-tc2", lab.search_path).boot_commands()

    kinds = {step.kind for step in steps}
    assert kinds == {CommandKind.SEND_LINE, CommandKind.EXPECT}
    assert any(step.text.endswith("Local FDT? [a/g/l]") for step in steps)


def test_characters_are_typed_as_slowly_as_the_device_says(lab: Lab) -> None:
    board = inventory.load_vm_type("vexpress-tc2", lab.search_path)

    assert board.typing_delay_s("bootloader") == 0.03
    assert board.typing_delay_s("test_shell") == 0


def test_boot_commands_that_need_a_key_the_device_lacks_are_refused_when_used(lab: Lab) -> None:
    lab.write(
        "device-types/beagle.conf",
        "client_type = bootloader\nboot_cmds = mmc rescan, boot\n"
        "boot_cmds_nfs = setenv usbethaddr %(mac)s, boot\nboot_cmds_master = %(boot_cmds_nfs)s\n",
    )
    lab.write("devices/beagle01.conf", "device_type = beagle\n")
    device = inventory.load_device("beagle01", lab.search_path)

    assert [one.text for one in device.boot_commands()] == ["mmc rescan", "boot"]
    for key in ("boot_cmds_nfs", "boot_cmds_master"):
        with pytest.raises(ConfigurationError, match=r"refers to %\(mac\)s, which is not set"):
            device.boot_commands(key)

    lab.write("devices/beagle01.conf", "device_type = beagle\nmac = 00:11:22:33:44:55\n")
    device = inventory.load_device("beagle01", lab.search_path)
    assert device.boot_commands("boot_cmds_nfs")[0].text == "setenv usbethaddr 00:11:22:33:44:55"
