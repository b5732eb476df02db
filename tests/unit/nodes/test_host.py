# SPDX-License-Identifier: MIT
"""The order in which a host deals with its board, its booted system and the VMs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from lava_vmgroup import boards
from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import JobError, PeerFailed, TestError
from lava_vmgroup.multinode.api import VM_START, VM_STOP
from lava_vmgroup.nodes.host import HostNode

if TYPE_CHECKING:
    from tests.unit.nodes.conftest import MakeShared
    from tests.unit.nodes.played import PlayedClient

IMAGE = Path("host.img")


class Board:
    """A board that notes the calls of its host."""

    access = None

    def __init__(self, calls: list[str], *, deploys: bool = True) -> None:
        self._calls = calls
        self.deploys = deploys

    def configure(self, _config: object) -> None:
        """Every configuration is taken."""

    def deploy_image(self, image: Path, _deadline: Deadline) -> None:
        self._calls.append(f"deploy {image}")

    def boot(self, _deadline: Deadline) -> object:
        self._calls.append("boot")
        return SimpleNamespace()

    def power_off(self, _deadline: Deadline) -> None:
        self._calls.append("off")

    def close(self) -> None:
        self._calls.append("close the board")


def soon() -> Deadline:
    return Deadline.after("the test", 60)


def system(calls: list[str]) -> Any:
    return SimpleNamespace(close=lambda: calls.append("leave the system"))


MakeHost = Callable[..., HostNode]


@pytest.fixture
def make_host(
    make_shared: MakeShared,
    calls: list[str],
    client: PlayedClient,
    monkeypatch: pytest.MonkeyPatch,
) -> MakeHost:
    """Makes a host that has joined its group, with a board that may be up already."""

    def make(*, deploys: bool = True, **group: Any) -> HostNode:
        shared = make_shared(**group)
        monkeypatch.setattr(boards, "load", lambda _: Board(calls, deploys=deploys))
        host = HostNode(shared.group.nodes[0], "board01", shared, CancelToken())
        monkeypatch.setattr(host, "client", client)
        monkeypatch.setattr(host, "_reached", lambda *_: system(calls))
        monkeypatch.setattr(host.watch, "came_up", lambda *_: None)
        monkeypatch.setattr(host, "_open_to_vms", lambda *_: calls.append("open to the VMs"))
        host.attributes["host_ip"] = "10.0.0.5"
        host.join(soon())
        return host

    return make


def test_vms_are_started_once_the_host_is_open_to_them(
    make_host: MakeHost, calls: list[str]
) -> None:
    make_host().boot(soon())

    assert calls == ["boot", "open to the VMs", f"send {VM_START}"]


def test_new_deployment_waits_for_the_vms_and_leaves_the_system_first(
    make_host: MakeHost, calls: list[str]
) -> None:
    host = make_host()
    host.boot(soon())
    del calls[:]

    host.deploy_image(IMAGE, soon())

    ended = [f"send {VM_STOP}", f"wait for {VM_STOP} of all", "leave the system"]
    assert calls == [*ended, f"deploy {IMAGE}"]


def test_vms_are_started_and_waited_for_once(make_host: MakeHost, calls: list[str]) -> None:
    host = make_host()
    host.boot(soon())
    host.boot(soon())
    host.finish(soon())

    assert calls.count("boot") == 2
    assert calls.count(f"send {VM_START}") == 1
    assert calls.count(f"wait for {VM_STOP} of all") == 1


def test_host_boots_at_the_end_if_no_action_has(make_host: MakeHost, calls: list[str]) -> None:
    make_host().finish(soon())

    assert calls[0] == "boot"
    assert calls[-1] == f"wait for {VM_STOP} of all"


def test_vm_that_left_without_closing_fails_the_host(
    make_host: MakeHost, client: PlayedClient
) -> None:
    host = make_host()
    host.boot(soon())
    client.closed.remove("vm1-job1.1")

    with pytest.raises(PeerFailed, match=r"^vm1-job1\.1 left the group without closing$"):
        host.test_shell_ended(soon())


def test_vms_that_the_hosts_tests_should_start_are_missed_at_the_end(
    make_host: MakeHost, calls: list[str]
) -> None:
    host = make_host(auto_start_vms=False)
    host.boot(soon())

    with pytest.raises(TestError, match="without lava-start-vms"):
        host.finish(soon())
    assert f"send {VM_START}" not in calls


def test_vms_that_a_test_of_the_host_starts_are_waited_for(
    make_host: MakeHost, calls: list[str]
) -> None:
    host = make_host(auto_start_vms=False)
    host.boot(soon())
    host.message_sent("hello")
    assert not host.waits_after_tests

    host.message_sent(VM_START)

    assert host.waits_after_tests
    host.finish(soon())
    assert calls[-1] == f"wait for {VM_STOP} of all"


def test_board_is_switched_off_at_the_end_whatever_became_of_the_group(
    make_host: MakeHost,
    client: PlayedClient,
    calls: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    host = make_host()
    host.boot(soon())
    client.is_there = False
    del calls[:]

    host.close()

    assert calls == ["leave the system", "off", "close the board"]
    assert "not all VMs are known to be closed" in caplog.text


def test_board_that_was_never_touched_stays_as_it_is(make_host: MakeHost, calls: list[str]) -> None:
    make_host().close()

    assert "off" not in calls
    assert calls[-1] == "close the board"


def test_deployment_to_a_host_that_is_up_is_refused_with_its_place(make_host: MakeHost) -> None:
    with pytest.raises(JobError, match=r"^actions\[0\]: the host board01 is up already"):
        make_host(deploys=False)
