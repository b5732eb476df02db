# SPDX-License-Identifier: MIT
"""The device of a LAVA v2 job, from the variables of its docker test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.config import files
from lava_vmgroup.config.dictionary.loading import load_environment

if TYPE_CHECKING:
    from tests.unit.config.conftest import Lab

CURL = 'curl -sf "http://pdu/off?port=1"'
LAVA = {
    "LAVA_CONNECTION_COMMAND": "telnet localhost 7001",
    "LAVA_HARD_RESET_COMMAND": f"{CURL} && sleep 3",
    "LAVA_POWER_OFF_COMMAND": CURL,
    "LAVA_BOOT_CHARACTER_DELAYS": "5",
    "LAVA_DEVICE_HOSTNAME": "arndale01",
    "LAVA_DEVICE_TYPE": "arndale",
    "LAVA_STATIC_INFO_0_board_id": "0815",
    "LAVA_STATIC_INFO_0_vmgroup_media_device": "/dev/sdm",
}
SHIPPED = files.search_path()[:1]


def test_board_is_that_of_lavas_variables() -> None:
    device = load_environment(LAVA, "arndale", SHIPPED)

    assert (device.hostname, device.device_type) == ("arndale01", "arndale")
    assert device.connection_command == "telnet localhost 7001"
    assert device.hard_reset_command == "curl -sf 'http://pdu/off?port=1' && sleep 3"
    assert device.power_off_cmd == "curl -sf 'http://pdu/off?port=1'"
    assert device.bootloader_serial_delay_ms == 5
    assert device.media_device == Path("/dev/sdm")


@pytest.mark.parametrize("command", [CURL.replace('"', '\\"'), CURL], ids=["escaped", "as it is"])
def test_quotes_that_lava_escapes_are_quotes(command: str) -> None:
    device = load_environment({**LAVA, "LAVA_POWER_OFF_COMMAND": command}, "arndale", SHIPPED)

    assert device.power_off_cmd == "curl -sf 'http://pdu/off?port=1'"


def test_and_within_quotes_joins_no_commands() -> None:
    commands = {"LAVA_HARD_RESET_COMMAND": "sh -c 'a && b' && pdu on"}

    device = load_environment({**LAVA, **commands}, "arndale", SHIPPED)

    assert device.hard_reset_command == "sh -c 'a && b' && pdu on"


def test_type_of_the_job_counts_where_lava_names_none(lab: Lab) -> None:
    older = {name: text for name, text in LAVA.items() if not name.startswith("LAVA_DEVICE")}
    lab.write("device-types/board.conf", "client_type = bootloader\nbootloader_prompt = ##\n")

    device = load_environment(older, "board", lab.search_path)

    assert (device.hostname, device.device_type) == ("board", "board")
    assert device.bootloader_prompt == "##"


def test_board_of_an_unknown_type_boots_by_itself() -> None:
    device = load_environment({**LAVA, "LAVA_DEVICE_TYPE": "new"}, "new", SHIPPED)

    assert (device.client_type, device.minimal_boot) == ("bootloader", True)


def test_host_that_is_up_needs_no_console() -> None:
    info = {"client_type": "ssh", "ssh_host": "rack01"}
    given = {f"LAVA_STATIC_INFO_0_vmgroup_{key}": text for key, text in info.items()}

    device = load_environment(given, "rack", SHIPPED)

    assert (device.client_type, device.ssh_host) == ("ssh", "rack01")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"LAVA_CONNECTION_COMMAND": ""}, "LAVA has not set LAVA_CONNECTION_COMMAND"),
        ({"LAVA_CONNECTION_COMMAND": "it's"}, "LAVA_CONNECTION_COMMAND: expected words quoted"),
        ({"LAVA_POWER_OFF_COMMAND": "off 'x"}, "LAVA_POWER_OFF_COMMAND: expected words quoted"),
        (
            {"LAVA_STATIC_INFO_1_vmgroup_media": "x"},
            "LAVA_STATIC_INFO: unknown key 'vmgroup_media'",
        ),
    ],
)
def test_wrong_environment_is_refused(changes: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_environment({**LAVA, **changes}, "arndale", SHIPPED)
