# SPDX-License-Identifier: MIT
"""The client of Debian's lava-dispatcher, unmodified, at our coordinator and at Debian's own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import lava_packages
from tests.support.coordinators import ROOT, lava_coordinator, our_coordinator
from tests.support.lava_packages import DIST_PACKAGES

if TYPE_CHECKING:
    from tests.integration.multinode.conftest import Address, Bare

MEMBER = ROOT / "tests/support/lava_dispatcher_member.py"
LIMIT_S = 120
ACK = {"response": "ack"}


@dataclass(frozen=True, kw_only=True)
class Part:
    """The calls of one member."""

    role: str
    calls: list[list[Any]]
    protocol: Mapping[str, Any] = field(default_factory=dict)
    """Further parameters of the protocol."""


Play = Callable[[str, Mapping[str, Part]], dict[str, Any]]


def call(request: str, message_id: str, **fields: Any) -> list[Any]:
    """A call as an action of a job makes it."""
    return ["__call__", {"request": request, "messageID": message_id, **fields}]


@pytest.fixture(scope="module", params=["lava", "ours"])
def address(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Address]:
    """The address of Debian's coordinator, which proves the test right, then of ours."""
    folder = tmp_path_factory.mktemp("coordinator")
    started = our_coordinator() if request.param == "ours" else lava_coordinator(folder)
    with started as running:
        yield running.address


@pytest.fixture
def play(address: Address, tmp_path: Path) -> Iterator[Play]:
    """Plays a group, each member in a process of its own; what each of them saw."""
    host, port = address
    config = tmp_path / "lava-coordinator.conf"
    settings = {"coordinator_hostname": host, "port": port, "poll_delay": 0.1}
    config.write_text(json.dumps(settings), encoding="utf-8")
    path = [str(lava_packages.of_this_system() / DIST_PACKAGES), f"/{DIST_PACKAGES}"]
    with ExitStack() as stack:

        def start(name: str, part: Part, group: Mapping[str, Any]) -> subprocess.Popen[str]:
            protocol = {**group, "role": part.role, **part.protocol}
            asked = {"path": path, "config": str(config), "job_id": name, "calls": part.calls}
            command = [sys.executable, str(MEMBER), json.dumps({**asked, "protocol": protocol})]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        def run(name: str, parts: Mapping[str, Part]) -> dict[str, Any]:
            group = {"target_group": name, "group_size": len(parts)}
            processes = {name: start(name, part, group) for name, part in parts.items()}
            return {
                name: json.loads(process.communicate(timeout=LIMIT_S)[0])
                for name, process in processes.items()
            }

        yield run


def test_a_host_and_its_vms_run_from_start_to_end(play: Play, address: Address, bare: Bare) -> None:
    delayed = {"request": "lava-start", "expect_role": "host", "timeout": {"seconds": LIMIT_S}}
    guest_calls = [
        call("lava-send", "ready", message={"ip": "192.0.2.7", "note": "ü = 1"}),
        call("lava-sync", "everyone"),
        call("lava-wait", "go"),
        call("lava-sync", "again"),
        call("lava-send", "done"),
        call("lava-wait-all", "done"),
    ]
    guest = Part(role="guest", calls=guest_calls, protocol=delayed)
    host_calls = [
        ["request_lava_start", {"host_ip": "192.0.2.1"}],
        call("lava-sync", "everyone"),
        call("lava-wait-all", "ready", role="guest"),
        call("lava-send", "go", message={"port": "5001"}),
        call("lava-sync", "again"),
        call("lava-send", "done", message={"last": "yes"}),
        call("lava-wait-all", "done"),
    ]

    seen = play(
        "start to end",
        {"10": Part(role="host", calls=host_calls), "11": guest, "12": guest},
    )

    assembled = {
        "response": "group_data",
        "roles": {"10": "host", "11": "guest", "12": "guest"},
    }
    ready = {name: {"ip": "192.0.2.7", "note": "ü = 1"} for name in ("11", "12")}
    done = {"10": {"last": "yes"}, "11": {}, "12": {}}
    started = {"response": "ack", "message": {"10": {"host_ip": "192.0.2.1"}}}
    assert seen["10"]["replies"][0] == assembled
    assert seen["10"]["results"][1:] == ["everyone", ready, "ack", "again", "ack", done]
    assert seen["10"]["replies"][-1] == ACK, "clear_group"
    for name in ("11", "12"):
        assert seen[name]["replies"][:2] == [assembled, started]
        assert seen[name]["results"] == [
            "ack",
            "everyone",
            {"10": {"port": "5001"}},
            "again",
            "ack",
            done,
        ]
        assert seen[name]["replies"][-1] == ACK, "clear_group"
    gone = {"request": "lava_send", "client_name": "10", "group_name": "start to end"}
    assert bare.ask(address, gone) == {"response": "nack"}


def test_two_equals_meet_at_every_sync(play: Play) -> None:
    ids = [f"sync {number}" for number in range(10)]
    part = Part(role="equal", calls=[call("lava-sync", message_id) for message_id in ids])

    seen = play("equals", {"1": part, "2": part})

    assert [member["results"] for member in seen.values()] == [ids, ids]
    assert [member["error"] for member in seen.values()] == [None, None]


def test_a_wait_in_vain_ends_by_the_clients_own_time_limit(
    play: Play, address: Address, bare: Bare
) -> None:
    calls = [call("lava-wait", "never", timeout=1), call("lava-send", "not reached")]

    seen = play("in vain", {"1": Part(role="alone", calls=calls)})

    assert seen["1"]["error"] == "MultinodeProtocolTimeoutError"
    assert seen["1"]["results"] == []
    gone = {"request": "lava_send", "client_name": "1", "group_name": "in vain"}
    assert bare.ask(address, gone) == {"response": "nack"}
