# SPDX-License-Identifier: MIT
"""Device dictionaries of LAVA v2 that its own device types do not show: of labs, and wrong ones."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.config import files
from lava_vmgroup.config.commands import BootCommand, CommandKind, format_list, parse_list
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.dictionary.loading import load_device

Load = Callable[..., DeviceConfig]


def commands(**more: Any) -> dict[str, Any]:
    """The commands of a board with a console."""
    uart = {"connect": "telnet localhost 7001", "tags": ["primary", "telnet"]}
    return {"connections": {"uart0": uart}, **more}


def methods(**more: Any) -> dict[str, Any]:
    return {"boot": {"methods": more}}


def u_boot(*lines: str, **parameters: Any) -> dict[str, Any]:
    """The actions of a board that boots a ramdisk by U-Boot."""
    return methods(**{"u-boot": {"parameters": parameters, "ramdisk": {"commands": [*lines]}}})


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads a device from the parts of its dictionary, which are for a board that boots alone."""

    def load(*, extra: Path | None = None, **parts: Any) -> DeviceConfig:
        file = tmp_path / "board01.yaml"
        minimal = {"actions": methods(minimal=None), "commands": commands()}
        file.write_text(json.dumps({**minimal, **parts}), encoding="utf-8")
        return load_device(file, files.search_path()[:1], extra)

    return load


def test_power_commands_run_one_after_the_other_and_mean_in_a_shell_what_they_mean_without(
    load: Load,
) -> None:
    curl = "curl http://pdu/off?port=1&host=b"

    device = load(commands=commands(hard_reset=[curl, "sleep 3"], power_on=curl))

    assert device.hard_reset_command == "curl 'http://pdu/off?port=1&host=b' && sleep 3"
    assert device.power_on_cmd == "curl 'http://pdu/off?port=1&host=b'"


def test_empty_commands_of_a_list_are_none(load: Load) -> None:
    device = load(commands=commands(hard_reset=["", "pdu reset"], power_off=[""]))

    assert (device.hard_reset_command, device.power_off_cmd) == ("pdu reset", "")


def test_console_is_the_connection_with_the_tag_primary(load: Load) -> None:
    uarts = {
        "uart1": {"connect": "telnet h 1", "tags": []},
        "Pattern": {"connect": "telnet h 2", "tags": []},
        "a=b": {"connect": "telnet h 3"},
        "a:b": {"connect": "telnet h 4"},
        "uart0": {"connect": "ssh h", "tags": ["primary"]},
    }

    device = load(commands={"connections": uarts})

    assert (device.connection_command, device.connection_command_pattern) == ("ssh h", "")
    assert device.other_ports == {
        "uart1": "telnet h 1",
        "pattern_": "telnet h 2",
        "a_b": "telnet h 3",
        "a_b_": "telnet h 4",
    }


def test_keys_of_this_program_come_with_static_info(load: Load) -> None:
    device = load(static_info=[{"vmgroup_media_device": "/dev/sdm", "board_id": "0815"}])

    assert device.media_device == Path("/dev/sdm")


def test_file_of_config_is_above_the_dictionary(load: Load, tmp_path: Path) -> None:
    (tmp_path / "more.conf").write_text("media_device = /dev/sdm\nconnection_command = tcp://h:1\n")

    device = load(extra=tmp_path / "more.conf")

    assert (device.media_device, device.connection_command) == (Path("/dev/sdm"), "tcp://h:1")


def test_host_that_is_up_is_reached_by_ssh(load: Load) -> None:
    login = {"host": "rack01", "port": 2222, "user": "lab", "identity_file": "dynamic_vm_keys/lava"}
    actions = {**methods(ssh=None), "deploy": {"methods": {"ssh": login}}}

    device = load(actions=actions, commands=None)

    assert (device.client_type, device.ssh_host, device.ssh_port) == ("ssh", "rack01", 2222)
    assert (device.ssh_username, device.ssh_identity_file) == ("lab", None)


@pytest.mark.parametrize(
    ("parameters", "constants", "keys"),
    [
        ({"interrupt_char": ""}, {}, ("b", False, "")),
        ({"interrupt_char": "s"}, {}, ("s", True, "")),
        ({"interrupt_char": " "}, {"interrupt-newline": False}, (" ", False, "")),
        ({}, {"interrupt-character": "x"}, ("x", True, "")),
        ({}, {"interrupt_ctrl_list": ["c", "d"]}, ("b", False, "cd")),
    ],
)
def test_boot_loader_is_interrupted_as_by_lava(
    load: Load, parameters: dict[str, Any], constants: dict[str, Any], keys: tuple[object, ...]
) -> None:
    device = load(actions=u_boot("boot", **parameters), constants={"u-boot": constants})

    assert keys == (
        device.interrupt_boot_command,
        device.interrupt_boot_newline,
        device.interrupt_boot_control_character,
    )


def test_boot_loader_that_needs_no_interruption_gets_none(load: Load) -> None:
    assert not load(actions=u_boot("boot", needs_interrupt=False)).needs_interrupt


def test_odd_characters_in_boot_commands_stay(load: Load) -> None:
    lines = ['setenv a "b, c"', r"setenv d 'x\ny'", "setenv e 100%"]

    typed = load(actions=u_boot(*lines)).boot_commands("boot_cmds_ramdisk")

    assert [command.text for command in typed] == lines


def test_text_of_lava_refers_to_nothing_here(load: Load) -> None:
    lines = ["setenv a $HOME ${HOME} ${NOT_SET} $$HOME %(hostname)s"]

    device = load(actions=u_boot(*lines), commands=commands(hard_reset="pdu $NOT_SET"))

    assert [one.text for one in device.boot_commands("boot_cmds_ramdisk")] == lines
    assert device.hard_reset_command == "pdu '$NOT_SET'"


def test_command_list_is_read_as_it_was_written() -> None:
    lines = ['a "b" \\ c', "d, e", "f 'g'"]

    read = parse_list(format_list(lines), "here")

    assert read == tuple(BootCommand(kind=CommandKind.AT_PROMPT, text=line) for line in lines)


def test_mac_address_of_lava_is_typed(load: Load) -> None:
    device = load(actions=u_boot("setenv ethaddr {LAVA_MAC}", lava_mac="00:11:22:33:44:55"))

    [command] = device.boot_commands("boot_cmds_ramdisk")

    assert command.text == "setenv ethaddr 00:11:22:33:44:55"


def test_limits_of_lava_are_taken(load: Load) -> None:
    timeouts = {
        "actions": {"bootloader-interrupt": {"minutes": 1, "seconds": 30}},
        "connections": {"bootloader-commands": {"seconds": 20}},
    }

    device = load(actions=u_boot("boot"), timeouts=timeouts)

    assert (device.bootloader_timeout, device.boot_cmd_timeout) == (90.0, 20.0)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"commands": None}, "commands.connections: missing, so the board has no console"),
        (
            {"commands": {"connections": {"uart0": {"connect": "x", "tags": ["telnet"]}}}},
            "commands.connections: none of uart0 is the console",
        ),
        ({"commands": commands(hard_reset="off 'x")}, "commands.hard_reset: expected words quoted"),
        ({"commands": commands(power_on={"a": "b"})}, "commands.power_on: expected text or a list"),
        ({"actions": None}, "actions: expected a mapping, found nothing"),
        ({"hostname": "../x"}, "hostname: expected a name of letters"),
        ({"devicetype": "a b"}, "devicetype: expected a name of letters"),
        ({"actions": u_boot("boot", interrupt_char=["a"])}, "interrupt_char: expected text"),
        (
            {
                "actions": u_boot("boot"),
                "timeouts": {"actions": {"bootloader-interrupt": {"minutes": "few"}}},
            },
            "timeouts.actions.bootloader-interrupt: expected numbers of days, hours",
        ),
        ({"static_info": [{"vmgroup_hostname": "b"}]}, "unknown key 'vmgroup_hostname'"),
        ({"actions": methods(fastboot=None, ssh=None)}, "none of fastboot, ssh (it has no host)"),
        (
            {"static_info": [{"vmgroup_media_devise": "/dev/sdm"}]},
            "unknown key 'vmgroup_media_devise'; did you mean 'vmgroup_media_device'?",
        ),
        (
            {"actions": u_boot("boot"), "parameters": {"booti": {"kernel": "0x1"}}},
            "parameters.booti.dtb: missing",
        ),
    ],
)
def test_wrong_dictionary_is_refused_with_the_place(
    load: Load, parts: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(**parts)

    assert message in refused.value.message
    assert "board01.yaml" in refused.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{% extends 'base.jinja2' %}\n", "a Jinja template, not YAML"),
        ("a: [", "not YAML"),
        ("- a\n", "expected a mapping"),
        ("", "expected a mapping, found nothing"),
    ],
)
def test_other_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "board.yaml"
    file.write_text(text)

    with pytest.raises(ConfigurationError) as refused:
        load_device(file, ())

    assert message in refused.value.message
    assert "lavacli devices dict get --render" in (refused.value.hint or "")


def test_pipe_is_no_device(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "board.yaml")

    with pytest.raises(ConfigurationError, match="is no file"):
        load_device(tmp_path / "board.yaml", ())


def test_configuration_file_at_another_place_is_a_device(tmp_path: Path) -> None:
    file = tmp_path / "board02.conf"
    file.write_text("device_type = arndale\nconnection_command = tcp://h:1\n")

    device = load_device(file, files.search_path()[:1])

    assert (device.hostname, device.device_type) == ("board02", "arndale")
    assert device.connection_command == "tcp://h:1"
    assert device.boot_cmds, "the file of its device type counts"
