# SPDX-License-Identifier: MIT
"""The contract of a host, run over every board driver that there is."""

import pkgutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lava_vmgroup import actions, boards
from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, TestError, VMGroupError
from lava_vmgroup.config import files
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.config.lab import Lab
from lava_vmgroup.deploy.fetch import JobFiles
from lava_vmgroup.job.expansion import expand
from lava_vmgroup.job.parse import parse_job
from lava_vmgroup.multinode.api import VM_START, VM_STOP
from lava_vmgroup.multinode.client import Membership, MultiNodeClient
from lava_vmgroup.multinode.coordinator import Coordinator
from lava_vmgroup.nodes.host import HostNode
from lava_vmgroup.runner.group import GroupRun
from lava_vmgroup.runner.outputs import Outputs

DRIVERS = sorted(module.name for module in pkgutil.iter_modules(boards.__path__))


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A host with a driver, and the group's only VM, which the test plays."""

    host: HostNode
    vm: MultiNodeClient


def soon() -> Deadline:
    return Deadline.after("the test", 30.0)


def config_of(driver: str, folder: Path) -> DeviceConfig:
    """The least that a device of this driver needs."""
    keys: dict[str, Any] = {"power_off_cmd": f"echo off >>{folder}/power"}
    if driver == "ssh":
        key = folder / "id"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        (folder / "known_hosts").write_text(f"host01 {key.with_suffix('.pub').read_text()}")
        keys["ssh_host"] = "host01"
        keys["ssh_identity_file"] = key
        keys["ssh_known_hosts"] = (folder / "known_hosts",)
    return DeviceConfig(hostname="board01", client_type=driver, **keys)


@pytest.fixture(params=DRIVERS)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    document = {
        "timeout": 60,
        "vm_group": {
            "host": {"device_type": "board"},
            "vms": [{"device_type": "kvm-arm", "role": "guest"}],
        },
        "actions": [{"command": "boot_linaro_image", "parameters": {"role": "host"}}],
    }
    group = expand(
        parse_job(document, tmp_path, actions.parameter_schemas()),
        job_id="1",
        target_group="group",
    )
    lab = Lab(
        device=config_of(request.param, tmp_path),
        dispatcher=DispatcherConfig(lava_cachedir=tmp_path / "cache"),
        search_path=files.search_path(tmp_path),
    )
    with (
        JobFiles(tmp_path, lab.dispatcher, tmp_path / "files") as job_files,
        Coordinator() as coordinator,
    ):
        run = GroupRun(group, lab, "1", Outputs(folder=tmp_path))
        shared = run._share(tmp_path, job_files, coordinator.endpoint)
        host = HostNode(group.nodes[0], "board01", shared, CancelToken())
        vm = MultiNodeClient(
            coordinator.endpoint,
            Membership(group_name="group", group_size=2, client_name="vm1", role="guest"),
            CancelToken(),
        )
        assembling = in_thread(lambda: host.join(soon()))
        vm.group_data(soon())
        assembling.join()
        yield Pair(host=host, vm=vm)
        vm.send(VM_STOP, {}, soon())
        host.close()


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_running_vms_are_waited_for_before_the_host_is_booted_again(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    booted = threading.Event()

    def boot(*_: object) -> None:
        booted.set()
        raise InfrastructureError("that is enough of a boot")

    monkeypatch.setattr(type(pair.host._board), "boot", boot)
    pair.host.message_sent(VM_START)

    def boot_again() -> None:
        with pytest.raises(InfrastructureError, match="enough"):
            pair.host.boot(soon())

    booting = in_thread(boot_again)
    pair.vm.wait(VM_STOP, soon())  # the host says that it waits
    waited = not booted.is_set()
    pair.vm.send(VM_STOP, {}, soon())
    booting.join()

    assert waited
    assert booted.is_set()


def test_hosts_test_shell_is_followed_by_waiting_for_the_vms(pair: Pair) -> None:
    pair.host.message_sent(VM_START)

    waiting = in_thread(lambda: pair.host.test_shell_ended(soon()))
    pair.vm.wait(VM_STOP, soon())
    waited = waiting.is_alive()
    pair.vm.send(VM_STOP, {}, soon())
    waiting.join()

    assert waited


def test_host_that_never_started_its_vms_is_told_how(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair.host, "ensure_booted", lambda _deadline: None)

    with pytest.raises(TestError, match="without lava-start-vms") as caught:
        pair.host.finish(soon())

    assert caught.value.hint == "call lava-start-vms in a test of the host"


def test_board_that_was_never_used_is_let_go(pair: Pair, tmp_path: Path) -> None:
    before = {*threading.enumerate()}
    board = pair.host._board

    board.power_off(soon())
    board.close()
    board.close()

    power = tmp_path / "power"
    switched = power.read_text() if power.exists() else ""
    assert switched == ("off\n" if board.deploys else ""), "a host that is up stays up"
    assert {*threading.enumerate()} <= before


def test_board_that_deploys_nothing_says_so(pair: Pair, tmp_path: Path) -> None:
    with pytest.raises(VMGroupError) as caught:
        pair.host._board.deploy_image(tmp_path, soon())
    assert caught.value.hint
