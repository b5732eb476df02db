# SPDX-License-Identifier: MIT
"""A VM's duties towards its host and its group."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, JobError
from lava_vmgroup.multinode.api import VM_STOP
from lava_vmgroup.nodes.vm import VMNode
from lava_vmgroup.vms.overlay_disk import DISK_BYTES

if TYPE_CHECKING:
    from tests.unit.nodes.conftest import MakeShared
    from tests.unit.nodes.played import PlayedClient


@pytest.fixture
def vm(make_shared: MakeShared, client: PlayedClient, monkeypatch: pytest.MonkeyPatch) -> VMNode:
    """A VM that has nothing deployed."""
    shared = make_shared()
    made = VMNode(shared.group.nodes[1], "vm1-job1.1", shared, CancelToken())
    monkeypatch.setattr(made, "client", client)
    return made


def soon() -> Deadline:
    return Deadline.after("the test", 60)


def refuses(_deadline: Deadline) -> None:
    raise InfrastructureError("the host does not answer")


def test_tests_that_do_not_fit_the_small_disk_are_refused(vm: VMNode) -> None:
    vm.expect_tests(DISK_BYTES, DISK_BYTES)

    with pytest.raises(JobError, match="a VM takes"):
        vm.expect_tests(DISK_BYTES + 1, DISK_BYTES + 1)


def test_vm_without_a_deployment_is_not_booted(vm: VMNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vm, "_reach_host", lambda _: SimpleNamespace())

    with pytest.raises(JobError, match="there is nothing to boot on this VM"):
        vm.boot(soon())


def test_group_learns_of_the_end_of_a_vm_that_could_not_be_removed(
    vm: VMNode, calls: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(vm, "_folder", SimpleNamespace(remove=refuses))

    vm.close()

    assert calls == [f"send {VM_STOP}"]
    assert "the VM could not be removed from the host: the host does not answer" in caplog.text


def test_vm_of_a_lost_host_is_left_to_the_hosts_supervisor(
    vm: VMNode, calls: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    removals: list[Deadline] = []
    monkeypatch.setattr(vm, "_folder", SimpleNamespace(remove=removals.append))
    vm.shared.host.loss = InfrastructureError("the host is silent")

    vm.close()

    assert removals == []
    assert calls == [f"send {VM_STOP}"]
    assert "the host is silent" in caplog.text


def test_vm_of_a_host_whose_system_died_is_not_waited_for(
    vm: VMNode, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    removals: list[Deadline] = []
    monkeypatch.setattr(vm, "_folder", SimpleNamespace(remove=removals.append))
    vm.shared.host.has_died = lambda: True

    vm.close()

    (limit,) = removals
    assert limit.limit_s == 2
    assert calls == [f"send {VM_STOP}"]
