# SPDX-License-Identifier: MIT
"""Debian's lava-coordinator and ours: one contract, held by both."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import (
    DeadlineExpired,
    GroupStuck,
    MultiNodeError,
    PeerFailed,
    WaitExpired,
)
from lava_vmgroup.config.coordinator import Endpoint
from lava_vmgroup.multinode.client import Membership, MultiNodeClient
from lava_vmgroup.multinode.coordinator import Coordinator
from lava_vmgroup.multinode.standstill import Standstill
from tests.support.coordinators import Running, lava_coordinator

if TYPE_CHECKING:
    from tests.integration.multinode.conftest import Address, Bare, Start

TRANSCRIPTS = json.loads(
    (Path(__file__).parents[2] / "unit" / "multinode" / "transcripts.json").read_text("utf-8")
)
ROLES = {"host": "host", "vm1": "guest", "vm2": "guest"}


@pytest.fixture(scope="module")
def lava(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """The address of Debian's lava-coordinator (package lava-coordinator)."""
    with lava_coordinator(tmp_path_factory.mktemp("lava-coordinator")) as running:
        yield running.address


@pytest.fixture(params=["lava", "embedded", "standalone"])
def address(request: pytest.FixtureRequest) -> Address:
    """The address of Debian's coordinator, of ours in this program, and of ours as a program."""
    if request.param != "lava":
        running: Coordinator | Running = request.getfixturevalue(
            "coordinator" if request.param == "embedded" else "standalone"
        )
        return running.address
    found: Address = request.getfixturevalue("lava")
    return found


def members(address: Address, group: str) -> list[MultiNodeClient]:
    return [
        MultiNodeClient(
            Endpoint(host=address[0], port=address[1], poll_delay_s=0.05),
            Membership(group_name=group, group_size=len(ROLES), client_name=name, role=role),
        )
        for name, role in ROLES.items()
    ]


def play_host(host: MultiNodeClient, deadline: Deadline) -> list[Any]:
    with host.watch(unexpected, ends_group=True):
        seen: list[Any] = [host.group_data(deadline)]
        host.send("lava_vm_start", {"host_ip": "192.0.2.1"}, deadline)
        host.sync("ready", deadline)
        host.sync("again", deadline)
        host.send("sum", {"sub_id": "7.0"}, deadline)
        seen.append(host.wait_all("sum", deadline))
        host.send("lava_vm_stop", {}, deadline)
        seen.append(host.wait_all("lava_vm_stop", deadline))
        seen.append(host.aggregate("first", "7.0", deadline))
        host.clear(deadline)
    return seen


def play_vm(vm: MultiNodeClient, sub_id: str, deadline: Deadline) -> list[Any]:
    with vm.watch(unexpected):
        seen: list[Any] = [vm.group_data(deadline)]
        seen.append(vm.wait("lava_vm_start", deadline))
        seen.append(vm.wait_all("lava_vm_start", deadline, role="host"))
        vm.sync("ready", deadline)
        vm.sync("again", deadline)
        vm.send("sum", {"sub_id": sub_id}, deadline)
        vm.send("lava_vm_stop", {"a": "\u00fc=1"}, deadline)
        seen.append(vm.aggregate({"of": sub_id}, sub_id, deadline))
        vm.clear(deadline)
    return seen


def unexpected(error: PeerFailed) -> None:
    pytest.fail(f"nobody failed: {error}")


def test_a_group_of_a_host_and_its_vms_runs_from_start_to_end(
    address: Address, start: Start, deadline: Deadline
) -> None:
    host, *vms = members(address, "whole job")

    playing = [start(play_vm, vm, f"7.{index}", deadline) for index, vm in enumerate(vms, start=1)]
    roles, sums, stops, bundles = play_host(host, deadline)

    assert roles == ROLES
    sub_ids = {"host": "7.0", "vm1": "7.1", "vm2": "7.2"}
    assert sums == {name: {"sub_id": sub_id} for name, sub_id in sub_ids.items()}
    assert stops == {"host": {}, **{vm: {"a": "ü=1"} for vm in ("vm1", "vm2")}}
    assert bundles == {"host": "first", "vm1": {"of": "7.1"}, "vm2": {"of": "7.2"}}
    start_message = {"host": {"host_ip": "192.0.2.1"}}
    for vm in playing:
        assert vm.result() == [ROLES, start_message, start_message, None]
    with pytest.raises(MultiNodeError, match="refused lava_send"):
        host.send("m", {}, deadline)


def test_a_deadline_ends_a_wait_for_a_group_that_never_is_complete(
    address: Address, deadline: Deadline
) -> None:
    host, *_ = members(address, "incomplete")

    with pytest.raises(DeadlineExpired, match="the group"):
        host.group_data(Deadline.after("the group", 0.2))
    host.clear(deadline)


def test_a_failure_is_told_where_that_is_possible(
    address: Address, request: pytest.FixtureRequest, deadline: Deadline
) -> None:
    host, *_ = members(address, "failed")

    assert host.fail("no boot", deadline) is ("lava" not in request.node.callspec.params.values())
    host.clear(deadline)


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda item: item["name"])
def test_the_transcripts_are_what_lava_answers(
    lava: Address, bare: Bare, transcript: dict[str, Any]
) -> None:
    group, members = transcript["name"], transcript["members"]

    def ask(client: str | None, role: str, **fields: Any) -> Any:
        named = {"client_name": client, "role": role} if client else {}
        return bare.ask(lava, {"group_name": group, "hostname": "h", **named, **fields})

    for client, role in members.items():
        ask(client, role, request="group_data", group_size=transcript["size"])

    for step in transcript["steps"]:
        fields = {key: step[key] for key in step if key not in {"from", "role", "expect", "lava"}}
        client = step["from"]
        role = step.get("role") or members.get(client, "")
        assert ask(client, role, **fields) == step.get("lava", step["expect"]), step

    for client, role in members.items():
        assert ask(client, role, request="clear_group") == {"response": "ack"}
    assert ask("any", "any", request="group_data") == {"response": "nack"}


def test_a_message_after_a_sync_with_its_id_ends_lavas_coordinator_and_not_ours(
    tmp_path: Path, coordinator: Coordinator, bare: Bare
) -> None:
    def send_after_sync(address: Address) -> Any:
        said = {"client_name": "one", "group_name": "crash", "hostname": "h", "role": "r"}
        for _ in range(2):
            bare.ask(address, {**said, "request": "lava_sync", "messageID": "m", "group_size": 1})
        return bare.ask(address, {**said, "request": "lava_send", "messageID": "m"})

    assert send_after_sync(coordinator.address) == {"response": "ack"}
    with pytest.raises(AssertionError, match="died"), lava_coordinator(tmp_path) as running:
        assert send_after_sync(running.address) is None
        assert running.process.wait(60) != 0


def test_what_only_ours_knows_of_standstills_is_done_without(
    address: Address, request: pytest.FixtureRequest, start: Start, deadline: Deadline
) -> None:
    host, *vms = members(address, "standstill")
    for playing in [start(one.group_data, deadline) for one in (host, *vms)]:
        assert playing.result() == ROLES
    told: queue.Queue[Standstill] = queue.Queue()
    host.tell_tests(deadline, ended=True)
    waits = [
        start(vm.with_token(None, told.put).wait, f"for {vm._member.client_name}", deadline)
        for vm in vms
    ]
    lines = [
        "vm1 waits in lava-wait 'for vm1' for host, whose tests have ended, and vm2",
        "vm2 waits in lava-wait 'for vm2' for host, whose tests have ended, and vm1",
    ]
    if "[lava]" in request.node.name:
        assert host.who_waits() == ()
    else:
        assert [list(told.get(timeout=60).lines) for _ in vms] == [lines, lines]
        assert list(host.who_waits()) == lines

    for vm in vms:
        host.send(f"for {vm._member.client_name}", {}, deadline)

    assert [wait.result() for wait in waits] == [{"host": {}}, {"host": {}}]
    assert told.empty()
    for one in (host, *vms):
        one.clear(deadline)


def test_tests_that_wait_are_ended_when_nothing_else_of_them_goes_on(
    coordinator: Coordinator, start: Start, deadline: Deadline
) -> None:
    host, *vms = members(coordinator.address, "end")
    for playing in [start(one.group_data, deadline) for one in (host, *vms)]:
        assert playing.result() == ROLES
    host.tell_tests(deadline, ended=True)

    def enter(vm: MultiNodeClient) -> None:
        def confirm(standstill: Standstill) -> None:
            assert standstill.in_vain
            vm.tell_blocked(standstill, deadline)

        vm.with_token(None, confirm).sync("m", deadline)

    for entering in [start(enter, vm) for vm in vms]:
        with pytest.raises(GroupStuck, match="vm1 and vm2 wait in lava-sync 'm' for host, whose"):
            entering.result()


def test_a_time_limit_of_a_wait_says_who_waits_for_whom(
    coordinator: Coordinator, start: Start, deadline: Deadline
) -> None:
    host, *vms = members(coordinator.address, "late")
    for playing in [start(one.group_data, deadline) for one in (host, *vms)]:
        assert playing.result() == ROLES

    with pytest.raises(WaitExpired) as caught:
        vms[0].sync("m", Deadline.after("the job", 0.2))

    assert caught.value.message == (
        "timed out: lava_sync 'm', within the job, limit 0.2 s: "
        "vm1 waits in lava-sync 'm' for host and vm2"
    )
