# SPDX-License-Identifier: MIT
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.config import files, typed
from lava_vmgroup.config.boot_keys import LoadAddresses
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.group_keys import QemuArch, QemuNetwork


def read(folder: Path, text: str) -> DeviceConfig:
    file = folder / "x.conf"
    file.write_text(text, encoding="utf-8")
    layers = files.Layers(typed.default_texts(DeviceConfig))
    layers.read(file)
    return typed.read_keys(DeviceConfig, layers)


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("send_char", "No", False),
        ("send_char", "on", True),
        ("boot_part", "5", 5),
        ("boot_cmd_timeout", "2.5", 2.5),
        ("timeout_scale", "2.5", 2.5),
        ("alternative_dir", "", None),
        ("media_device", "/dev/sdm", Path("/dev/sdm")),
        ("media_device", "", None),
        ("hard_reset_command", '""', ""),
        ("hard_reset_command", "\n  pdu off\n  pdu on", "pdu off\npdu on"),
        ("bootloader_prompt", "=> ?", "=> ?"),
        ("login_commands", '["su", "a b"]', ("su", "a b")),
        ("login_commands", "\n  su\n\n  a b\n", ("su", "a b")),
        ("test_image_prompts", "[#$]", ("[#$]",)),
        ("test_image_prompts", '["\\\\(initramfs\\\\)",\n  "/ #"]', (r"\(initramfs\)", "/ #")),
        ("qemu_arch", "AArch64", QemuArch.AARCH64),
        ("qemu_options", "-device 'virtio-net,id=a b'", ("-device", "virtio-net,id=a b")),
        ("qemu_networks", "group  User", (QemuNetwork.GROUP, QemuNetwork.USER)),
        ("qemu_networks", "", ()),
        (
            "u_load_addrs",
            "\n  0x40007000\n  0x45000000\n  0x41f00000",
            LoadAddresses(kernel="0x40007000", ramdisk="0x45000000", dtb="0x41f00000"),
        ),
        ("u_load_addrs", "", None),
    ],
)
def test_value_has_the_type_of_its_key(tmp_path: Path, key: str, text: str, expected: Any) -> None:
    value = getattr(read(tmp_path, f"{key} = {text}\n"), key)

    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("send_char", "perhaps", "yes or no"),
        ("boot_part", "two", "a whole number, 1 or more"),
        ("boot_retries", "0", "a whole number, 1 or more"),
        ("bootloader_serial_delay_ms", "-1", "a whole number, 0 or more"),
        ("boot_part", "", "a whole number"),
        ("ssh_port", "70000", "a port, a whole number from 1 to 65535"),
        ("ssh_port", "0", "a port, a whole number from 1 to 65535"),
        ("bootloader_timeout", "soon", "a number of seconds"),
        ("bootloader_timeout", "-1", "a number of seconds"),
        ("bootloader_timeout", "inf", "a number of seconds"),
        ("timeout_scale", "0.5", "a number from 1 to 100"),
        ("timeout_scale", "101", "a number from 1 to 100"),
        ("timeout_scale", "nan", "a number from 1 to 100"),
        ("timeout_scale", "slow", "a number from 1 to 100"),
        ("media_device", "dev/sdm", "an absolute path"),
        ("vm_folder", "/", "an absolute path below /"),
        ("vm_folder", "/var/../etc", "an absolute path below /"),
        ("bootloader_prompt", "(", "a regular expression"),
        ("test_image_prompts", "ok\n  )", "a regular expression"),
        ("test_image_prompts", r'["\(initramfs\)"]', "a backslash is written twice"),
        ("login_commands", '["a", 1]', "a JSON array of strings"),
        ("qemu_options", "-append 'x", "words quoted as in a shell"),
        ("qemu_arch", "arm", "one of host, aarch32, aarch64, x86_64"),
        ("u_load_addrs", "0x1\n  0x2", r"3 items \(kernel, ramdisk, dtb\)"),
        ("u_load_addrs", "0x1\n  0x2\n  high", "hexadecimal addresses or variables, not 'high'"),
        ("boot_options", "rootfs", r"there is no \[rootfs\]"),
    ],
)
def test_wrong_value_names_file_key_and_what_was_expected(
    tmp_path: Path, key: str, text: str, expected: str
) -> None:
    with pytest.raises(ConfigurationError, match=rf"x\.conf: {key} = .*expected .*{expected}"):
        read(tmp_path, f"{key} = {text}\n")


def test_boot_options_are_the_sections_of_their_names(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        "boot_options =\n  rootfs\n[rootfs]\ndefault = /dev/sda1\nallowed = %(default)s\n[x]\n",
    )

    assert config.boot_options == {"rootfs": {"default": "/dev/sda1", "allowed": "/dev/sda1"}}


def test_default_that_refers_to_other_keys_follows_them(tmp_path: Path) -> None:
    config = read(tmp_path, "root_part = 3\ndummy_ssh_host = h1\ndummy_ssh_port = 2222\n")

    assert config.root_device == "/dev/vda3"
    assert (config.ssh_host, config.ssh_port, config.ssh_identity_file) == ("h1", 2222, None)


def test_unset_environment_name_brings_back_a_default_of_any_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LAB_GONE", raising=False)
    keys = ("test_image_prompts", "send_char", "qemu_arch", "media_device", "boot_cmd_timeout")

    config = read(tmp_path, "".join(f"{key} = $LAB_GONE\n" for key in keys))

    assert config == DeviceConfig(connection_command=config.connection_command)


def test_password_is_not_in_the_repr() -> None:
    assert "hunter2" not in repr(DeviceConfig(password="hunter2"))
