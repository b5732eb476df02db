# SPDX-License-Identifier: MIT
"""A host that lacks a required thing skips nodes with the evidence, or ends the job."""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.connections.ssh import dial
from lava_vmgroup.job.requires import parse_requirements
from lava_vmgroup.vms.facts import ask
from lava_vmgroup.vms.requires import lacking, offered, questions
from tests.support.coordinators import lava_coordinator
from tests.support.lab import Ended, Lab, coordinator
from tests.support.local_lab import entry, local_lab, only_programs, shell_action, write_job
from tests.support.sshd import Server

LACKED = "command:no-such-command"
REASON = f"requires {LACKED}: there is no command no-such-command"
MEETS = """
metadata: {format: Lava-Test-Shell Test Definition 1.0, name: t, description: d}
run:
  steps:
    - lava-sync together
    - lava-test-case there --result pass
"""
BOARD_WITHOUT_EL2 = """\
[    0.000000] Kernel command line: console=ttyAMA0 root=/dev/vda1 rw kvm: nothing
[    0.000000] GICv3: 224 SPIs implemented
[    0.630078] CPU: All CPU(s) started at EL1
[    3.763862] kvm [1]: HYP mode not available
[    6.633615] virtio_blk virtio0: [vda] 2705408 512-byte logical blocks (1.39 GB/1.29 GiB)
"""
REFUSED = "#!/bin/sh\necho 'read kernel buffer failed: Operation not permitted' >&2\nexit 1\n"


@pytest.fixture
def lab(tmp_path: Path, sshd: Server) -> Iterator[Lab]:
    with local_lab(tmp_path, sshd) as made:
        yield made


def job(lab: Lab, *vms: dict[str, Any], **host: Any) -> Path:
    roles = dict.fromkeys(["host", *(vm["role"] for vm in vms)])
    document = {
        "timeout": 60,
        "vm_group": {"host": {"device_type": "rack", **host}, "vms": list(vms)},
        "actions": [shell_action("meets.yaml", role) for role in roles],
    }
    return write_job(lab, document, meets=MEETS)


def guest(lab: Lab, **more: Any) -> dict[str, Any]:
    """A VM that we start ourselves, on a host that has no KVM for it."""
    (lab.folder / "vm.img").write_bytes(os.urandom(1 << 20))
    return {"device_type": "kvm-aarch64", "role": "guest", "image": "vm.img", **more}


def states(ended: Ended) -> list[str]:
    return [node["state"] for node in ended.results["nodes"]]


def says(text: str) -> str:
    return f"#!/bin/sh\ncat <<'END'\n{text}END\n"


def test_host_that_lacks_something_skips_the_whole_group_and_nothing_is_launched(
    lab: Lab,
) -> None:
    ended = lab.run(job(lab, entry("guest", count=2), requires=["cpus>=1", LACKED]))

    assert ended.status == 0, ended.stderr
    assert states(ended) == ["Skipped"] * 3
    host, *vms = ended.results["nodes"]
    assert host["skipped"] == REASON
    assert [vm["skipped"] for vm in vms] == [f"the host is skipped: {REASON}"] * 2
    assert [node["runs"] for node in ended.results["nodes"]] == [[]] * 3
    assert "every node was skipped, nothing was tested" in " ".join(ended.stdout.split())
    assert ElementTree.parse(ended.output / "junit.xml").getroot().get("skipped") == "3"
    bundle = json.loads((ended.output / "bundle.json").read_text())
    completes = [run["test_results"][-1] for run in bundle["test_runs"]]
    assert {one["result"] for one in completes} == {"skip"}
    assert all(REASON in one["message"] for one in completes)
    assert not [event for event in ended.events if event.get("state") == "booting"]
    assert list((lab.folder / "vms").glob("job-*")) == []


@contextmanager
def coordinator_of_lava(folder: Path) -> Iterator[int]:
    (folder / "token").touch(mode=0o600)
    (folder / "token").write_text("not asked for\n")
    with lava_coordinator(folder) as running:
        yield running.address[1]


@pytest.mark.parametrize("meeting", [coordinator, coordinator_of_lava])
def test_group_of_several_dispatchers_is_skipped_as_well(
    lab: Lab, meeting: Callable[[Path], AbstractContextManager[int]]
) -> None:
    path = job(lab, entry("guest"), entry("other"), requires=[LACKED])
    with meeting(lab.folder) as port:
        started = lab.start_sub_jobs(path, port)
        ended = [lab.finish(started[number], f"results-{number}") for number in sorted(started)]

    assert [one.status for one in ended] == [0, 0, 0], [one.stderr for one in ended]
    assert states(ended[0]) == ["Skipped"] * 3
    assert all(REASON in node["skipped"] for node in ended[0].results["nodes"])


def test_host_ends_the_job_where_the_job_wants_it(lab: Lab) -> None:
    ended = lab.run(job(lab, entry("guest"), requires=[LACKED], requires_policy="fail"))

    assert ended.status == 4
    assert states(ended) == ["Incomplete"] * 2
    assert ended.results["cause"]["class"] == "Unfit"
    assert ended.results["cause"]["message"] == REASON


def test_vm_is_skipped_alone_and_nobody_waits_for_it(lab: Lab) -> None:
    lacking_vm = entry("lacking", requires=[LACKED])

    ended = lab.run(job(lab, entry("guest", requires=["cpus>=1"]), lacking_vm))

    assert ended.status == 0, ended.stderr
    assert states(ended) == ["Complete", "Complete", "Skipped"]
    assert ended.results["nodes"][2]["skipped"] == REASON
    assert "no test failed, 1 of 3 nodes were skipped" in " ".join(ended.stdout.split())


def test_vm_ends_the_job_where_the_job_wants_it(lab: Lab) -> None:
    failing = entry("lacking", requires=[LACKED], requires_policy="fail", optional=True)

    ended = lab.run(job(lab, failing))

    assert ended.status == 4
    assert ended.results["cause"]["message"] == REASON


def test_vm_that_the_job_launches_claims_no_accelerator(lab: Lab) -> None:
    ended = lab.run(job(lab, entry("guest")))

    assert ended.status == 0, ended.stderr
    assert ended.results["nodes"][1]["attributes"]["accelerator"] == "unknown (launch_with)"
    assert re.search(r"vm1-job0\.1 *│ guest *│ Complete *│ unknown ", ended.stdout)


@pytest.fixture
def no_kvm(sshd: Server) -> None:
    """A host of another architecture than the guest's, whose KVM is none for it."""
    only_programs(
        sshd,
        lambda name: name.startswith("qemu") or not name.startswith(("dmesg", "uname")),
        replaced={"dmesg": says(BOARD_WITHOUT_EL2), "uname": "#!/bin/sh\necho aarch64\n"},
    )


@pytest.mark.usefixtures("no_kvm")
def test_vm_that_wants_kvm_is_never_emulated(lab: Lab) -> None:
    ended = lab.run(job(lab, guest(lab, accelerator="kvm")))

    assert ended.status == 4, ended.stderr
    cause = ended.results["cause"]
    assert cause["class"] == "Unfit"
    assert "no KVM for an aarch64 guest (" in cause["message"]
    assert "the job never emulates it" in cause["message"]
    assert ended.results["uploads"] == []


@pytest.mark.usefixtures("no_kvm")
@pytest.mark.parametrize("more", [{"requires": ["kvm"]}, {"optional": True}])
def test_vm_that_wants_kvm_is_skipped_where_the_job_goes_on_without(
    lab: Lab, more: dict[str, Any]
) -> None:
    ended = lab.run(job(lab, guest(lab, accelerator="kvm", **more), entry("shell")))

    assert ended.status == 0, ended.stderr
    assert states(ended) == ["Complete", "Skipped", "Complete"]
    assert ended.results["uploads"] == []


def looked_at(sshd: Server, folder: Path, words: list[str]) -> tuple[list[str], list[str]]:
    """The words that the host has, and those of `words` that it lacks."""
    limit = Deadline.after("the test", 60)
    requirements = parse_requirements(words)
    with dial(sshd.address, sshd.key, limit) as link:
        facts = ask(str(folder), questions(requirements), link, limit)
    return offered(facts), [str(one) for one in lacking(requirements, facts)]


def test_host_is_asked_for_what_the_job_names(sshd: Server, tmp_path: Path) -> None:
    kept = tmp_path / "a file"
    kept.touch()
    there = ["device:/dev/null", f"file:{kept}", f"file:{tmp_path}", "command:sh", "cpus>=1"]
    missing = ["device:/dev/nothing", f"device:{'/dev/../' + str(kept)}", "file:/nothing", LACKED]

    _, lacked = looked_at(sshd, tmp_path, there + missing)

    assert lacked == missing


def test_modules_are_there_when_loaded_built_in_or_to_be_loaded(
    sshd: Server, tmp_path: Path
) -> None:
    loaded = next(path.name for path in Path("/sys/module").iterdir())
    modprobe = """\
#!/bin/sh
case "$*" in
    '-D loadable_one') echo 'insmod /lib/modules/6.1/dep.ko'; echo 'insmod /lib/modules/6.1/x.ko' ;;
    '-D built_in') echo 'builtin built_in' ;;
    '-D forbidden') echo 'install /bin/false' ;;
    *) echo "modprobe: FATAL: Module not found" >&2; exit 1 ;;
esac
"""
    only_programs(sshd, replaced={"modprobe": modprobe})
    words = [f"module:{loaded}", "module:loadable-one", "module:built_in"]

    _, lacked = looked_at(sshd, tmp_path, [*words, "module:forbidden", "module:no_such"])

    assert lacked == ["module:forbidden", "module:no_such"]


def test_versions_of_qemu_are_asked_when_the_job_requires_one(sshd: Server, tmp_path: Path) -> None:
    old = "QEMU emulator version 7.2.15 (Debian 1:7.2+dfsg-7+deb12u12)\nCopyright\n"
    new = "QEMU emulator version 8.2.0\n"
    replaced = {"qemu-system-arm": says(old), "qemu-system-aarch64": says(new)}
    only_programs(sshd, lambda name: not name.startswith("qemu-system"), replaced=replaced)

    has, lacked = looked_at(sshd, tmp_path, ["qemu>=7.2.15", "qemu>=8"])

    assert "qemu>=7.2.15" in has
    assert lacked == ["qemu>=8"]


@pytest.mark.parametrize("log_of", ["dmesg", "journalctl"])
def test_words_of_the_kernel_are_found_in_its_log_or_in_the_journal(
    sshd: Server, tmp_path: Path, log_of: str
) -> None:
    board = BOARD_WITHOUT_EL2
    replaced = {"uname": "#!/bin/sh\necho aarch64\n", "dmesg": REFUSED, log_of: says(board)}
    only_programs(sshd, replaced=replaced)
    limit = Deadline.after("the test", 60)

    with dial(sshd.address, sshd.key, limit) as link:
        facts = ask(str(tmp_path), (), link, limit)

    assert facts.kernel_log == ("CPU: All CPU(s) started at EL1", "kvm [1]: HYP mode not available")


def test_log_that_cannot_be_read_is_said_to_be_closed(sshd: Server, tmp_path: Path) -> None:
    uname = "#!/bin/sh\necho aarch64\n"
    replaced = {"uname": uname, "dmesg": REFUSED, "journalctl": "#!/bin/sh\nexit 1\n"}
    only_programs(sshd, replaced=replaced)
    limit = Deadline.after("the test", 60)

    with dial(sshd.address, sshd.key, limit) as link:
        facts = ask(str(tmp_path), (), link, limit)

    assert (facts.kernel_log, facts.kernel_log_opens) == ((), False)
