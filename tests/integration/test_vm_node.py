# SPDX-License-Identifier: MIT
"""A VM from its launch to its end, on a host that is this machine behind a real sshd."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lava_vmgroup import actions
from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
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
from lava_vmgroup.nodes.vm import VMNode
from lava_vmgroup.runner.group import GroupRun
from lava_vmgroup.runner.outputs import Outputs
from lava_vmgroup.vms.facts import HostFacts
from lava_vmgroup.vms.introduction import OFFER_ID, Offer
from lava_vmgroup.vms.vm_host import VMHost
from tests.support.processes import is_running
from tests.support.sshd import Server
from tests.support.supervised import supervised


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A VM, and its host's part in the group, which the test plays."""

    vm: VMNode
    host: MultiNodeClient


def soon() -> Deadline:
    return Deadline.after("the test", 60.0)


@pytest.fixture
def pair(sshd: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    # The "guest" is a shell of this machine that leaves its process id.
    launch = f"echo $$ >>{tmp_path}/pids; PS1='guest> ' exec sh -i"
    vm = {"device_type": "kvm-aarch64", "role": "guest", "shell_prompt": "guest> "}
    document = {
        "timeout": 60,
        "vm_group": {"host": {"device_type": "board"}, "vms": [{**vm, "launch_with": launch}]},
        "actions": [{"command": "boot_linaro_image"}],
    }
    job = parse_job(document, tmp_path, actions.parameter_schemas())
    lab = Lab(
        device=DeviceConfig(hostname="board01", client_type="bootloader"),
        dispatcher=DispatcherConfig(lava_cachedir=tmp_path / "cache"),
        search_path=files.search_path(tmp_path),
    )
    group = expand(job, job_id="1", target_group="group")
    (tmp_path / "work").mkdir()
    with (
        JobFiles(tmp_path, lab.dispatcher, tmp_path / "files") as job_files,
        Coordinator() as coordinator,
    ):
        run = GroupRun(group, lab, "1", Outputs(folder=tmp_path / "out"))
        shared = run._share(tmp_path / "work", job_files, coordinator.endpoint)
        shared.host.lab_key = sshd.key
        host = MultiNodeClient(
            coordinator.endpoint,
            Membership(group_name="group", group_size=2, client_name="board01", role="host"),
            CancelToken(),
        )
        node = VMNode(group.nodes[1], "vm1", shared, CancelToken())
        assembling = threading.Thread(target=lambda: node.join(soon()))
        assembling.start()
        host.group_data(soon())
        assembling.join()
        host.send(
            OFFER_ID, Offer(address=sshd.address, folder=str(tmp_path / "vms")).to_message(), soon()
        )
        with supervised(sshd, tmp_path / "vms", "group"):
            yield Pair(vm=node, host=host)
            node.close()


def test_vm_that_boots_again_replaces_the_running_one(pair: Pair, tmp_path: Path) -> None:
    pair.host.send(VM_START, {"host_ip": "127.0.0.1"}, soon())
    pair.vm.boot(soon())
    pair.vm.boot(soon())

    first, second = map(int, (tmp_path / "pids").read_text().split())
    assert [is_running(pid) for pid in (first, second)] == [False, True]
    assert pair.vm.shell.run("echo $$", soon()) == (0, str(second))


def test_job_launches_its_vm_where_no_qemu_is(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = HostFacts(
        machine="aarch64",
        memory_mib=1024,
        kvm_opens=False,
        qemu_programs=frozenset(),
        firmware=frozenset(),
        tools=frozenset({"tar", "truncate"}),
    )
    monkeypatch.setattr(VMHost, "facts", lambda *_: bare)
    pair.host.send(VM_START, {"host_ip": "127.0.0.1"}, soon())

    pair.vm.boot(soon())

    assert pair.vm.shell.run('echo "<$LAVA_VM_NAME:$LAVA_VM_LAUNCH>"', soon()) == (0, "<vm1:>")


def test_vm_that_closes_is_gone_and_says_so(pair: Pair, tmp_path: Path) -> None:
    pair.host.send(VM_START, {"host_ip": "127.0.0.1"}, soon())
    pair.vm.boot(soon())

    pair.vm.close()

    assert not is_running(int((tmp_path / "pids").read_text()))
    assert [path.name for path in (tmp_path / "vms/job-group").iterdir()] == [".supervisor"]
    assert pair.host.wait(VM_STOP, soon()) == {"vm1": {}}


def test_vm_that_never_reached_its_host_says_that_it_is_gone(pair: Pair) -> None:
    pair.vm.close()

    assert pair.host.wait(VM_STOP, soon()) == {"vm1": {}}
