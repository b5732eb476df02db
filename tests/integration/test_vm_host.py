# SPDX-License-Identifier: MIT
"""One host used by the VMs of several processes, which share nothing but the host."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import DeadlineExpired, InfrastructureError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.base.shell_programs import sh_command
from lava_vmgroup.connections.link import Link
from lava_vmgroup.connections.ssh import dial
from lava_vmgroup.vms.facts import HostFacts
from lava_vmgroup.vms.folder import VMFolder
from lava_vmgroup.vms.introduction import Offer
from lava_vmgroup.vms.store import ImageStore
from lava_vmgroup.vms.stored_file import StoredFile, stored
from lava_vmgroup.vms.vm_host import VMHost
from tests.support.sshd import Server
from tests.support.supervised import supervised

FACTS = HostFacts(
    machine="aarch64",
    memory_mib=2000,
    kvm_opens=False,
    qemu_programs=frozenset(),
    firmware=frozenset(),
)


def soon(limit_s: float = 60.0) -> Deadline:
    return Deadline.after("the test", limit_s)


@pytest.fixture
def link(sshd: Server) -> Iterator[Link]:
    with dial(sshd.address, sshd.key, soon()) as made:
        yield made


@pytest.fixture
def process(
    sshd: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], VMHost]]:
    """Makes the host as one more process sees it."""
    monkeypatch.setattr(VMHost, "facts", lambda *_: FACTS)
    offer = Offer(address=sshd.address, folder=str(tmp_path / "vms"))
    with supervised(sshd, tmp_path / "vms", "group"):
        yield lambda: VMHost(offer, sshd.key, "group")


def end(host: VMHost, vm: str, link: Link) -> None:
    VMFolder(vm, host.supervisor, link).remove(soon())


def test_each_vm_gets_the_cpus_that_the_fewest_others_have(
    process: Callable[[], VMHost], link: Link
) -> None:
    choices = ("0", "1")

    given = [process().reserve(vm, 1, choices, link, soon()) for vm in ("vm1", "vm2", "vm3")]
    end(process(), "vm2", link)
    given.append(process().reserve("vm4", 1, choices, link, soon()))

    assert given == ["0", "1", "0", "1"]
    assert process().reserve("vm5", 1, (), link, soon()) is None


def test_memory_is_promised_only_once(process: Callable[[], VMHost], link: Link) -> None:
    process().reserve("vm1", 1500, (), link, soon())
    process().reserve("vm1", 1400, (), link, soon())  # a VM that boots again

    with pytest.raises(InfrastructureError, match="2000 MiB of memory; 1400 MiB are promised"):
        process().reserve("vm2", 700, (), link, soon())
    end(process(), "vm1", link)
    process().reserve("vm2", 700, (), link, soon())


def test_vms_that_claim_at_the_same_time_do_not_get_the_same(
    sshd: Server, process: Callable[[], VMHost]
) -> None:
    names = [f"vm{number}" for number in range(6)]
    given: dict[str, str | None] = {}

    def claim(name: str) -> None:
        with dial(sshd.address, sshd.key, soon()) as own:
            given[name] = process().reserve(name, 1, tuple("012345"), own, soon())

    threads = [threading.Thread(target=claim, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(str(cpus) for cpus in given.values()) == list("012345")


def store(tmp_path: Path, job: str = "job") -> ImageStore:
    return ImageStore(str(tmp_path / "store"), job)


def image_in(tmp_path: Path) -> StoredFile:
    image = tmp_path / "vm.img"
    image.write_bytes(os.urandom(3_000_000))
    return stored(image, soon())


def test_image_that_several_processes_want_is_sent_by_one(sshd: Server, tmp_path: Path) -> None:
    image = image_in(tmp_path)
    stores = [store(tmp_path) for _ in range(4)]

    def put(number: int) -> None:
        with dial(sshd.address, sshd.key, soon()) as own:
            stores[number].put(image, own, NodeLog(f"vm{number}"), soon())

    threads = [threading.Thread(target=put, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    sent = [upload.bytes_sent for one in stores for upload in one.uploads()]
    assert sorted(sent) == [0, 0, 0, image.path.stat().st_size]
    assert (tmp_path / "store/sha256" / image.digest).read_bytes() == image.path.read_bytes()
    assert [path.name for path in (tmp_path / "store/sha256").iterdir()] == [image.digest]


def test_wait_for_another_process_has_an_end(sshd: Server, link: Link, tmp_path: Path) -> None:
    image = image_in(tmp_path)
    folder = tmp_path / "store/sha256"
    folder.mkdir(parents=True)

    with ExitStack() as stack:
        other = stack.enter_context(dial(sshd.address, sshd.key, soon()))
        words = ["flock", str(folder), "sh", "-c", "echo held; cat"]
        assert stack.enter_context(other.holding(words, soon())) == "held"
        with pytest.raises(DeadlineExpired):
            store(tmp_path).put(image, link, NodeLog("vm1"), soon(1.5))

    store(tmp_path).put(image, link, NodeLog("vm1"), soon())
    assert (folder / image.digest).stat().st_size == image.path.stat().st_size


def test_host_without_locks_takes_the_same_image_twice(
    link: Link, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_flock(name: str, *words: str) -> list[str]:
        return ["echo", "none"] if name == "vms/hold_store.sh" else sh_command(name, *words)

    monkeypatch.setattr("lava_vmgroup.vms.store.sh_command", without_flock)
    image = image_in(tmp_path)

    path = store(tmp_path).put(image, link, NodeLog("vm1"), soon())

    assert Path(path).read_bytes() == image.path.read_bytes()


def test_image_for_which_the_disk_has_no_room_is_refused_with_the_reason(
    sshd: Server, link: Link, tmp_path: Path
) -> None:
    image = image_in(tmp_path)
    sshd.limit_files(1_000_000)

    with pytest.raises(InfrastructureError, match=r"MiB are free below .*store/sha256") as caught:
        store(tmp_path).put(image, link, NodeLog("vm1"), soon())

    assert "full" in str(caught.value.hint)
    assert list((tmp_path / "store/sha256").iterdir()) == []
