# SPDX-License-Identifier: MIT
"""A host's tests go there and come back by SSH, and spare what was there before."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, JobError
from lava_vmgroup.connections.process import ProcessStream
from lava_vmgroup.connections.ssh import dial
from lava_vmgroup.connections.ssh_access import Access
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.systems import over_ssh
from lava_vmgroup.systems.over_ssh import OverSsh
from lava_vmgroup.testdefs.definition import parse_definition
from lava_vmgroup.testdefs.overlay import OverlaySpec, OverlayTest, build_overlay
from lava_vmgroup.testshell.collected import read_results
from lava_vmgroup.vms.supervisor import Supervisor
from tests.support.sshd import Server
from tests.support.supervised import supervised

LIMIT_S = 60.0
TEXT = yaml.safe_dump(
    {
        "metadata": {"name": "smoke", "format": "1.0", "description": ""},
        "run": {"steps": ["echo x >note", "lava-test-run-attach note"]},
    }
)


def soon() -> Deadline:
    return Deadline.after("the test", LIMIT_S)


@pytest.fixture
def supervisor(sshd: Server, tmp_path: Path) -> Iterator[Supervisor]:
    with supervised(sshd, tmp_path / "vms", "1") as made:
        yield made


@pytest.fixture
def host(sshd: Server, tmp_path: Path, supervisor: Supervisor) -> Iterator[OverSsh]:
    """This machine as a host that has booted."""
    access = Access(address=sshd.address, key=sshd.key)
    with (
        Console(ProcessStream("sh -i"), Recorder(tmp_path / "console.log")) as console,
        dial(sshd.address, sshd.key, soon()) as link,
    ):
        yield OverSsh(Shell.prepare(console, soon()), link, access, supervisor)


def to_remove(supervisor: Supervisor) -> str:
    return Path(supervisor.ledger).read_text()


def overlay(directory: Path) -> bytes:
    test = OverlayTest(definition=parse_definition(TEXT, source="test"), uuid="uuid-0", source=TEXT)
    spec = OverlaySpec(
        node="board", role="host", group=[], tests=[test], lava_test_dir=str(directory)
    )
    return build_overlay(spec)


def test_tests_go_to_the_host_and_their_files_come_back(host: OverSsh, tmp_path: Path) -> None:
    directory = tmp_path / "lava"
    host.unpack(overlay(directory), str(directory), (), soon())
    subprocess.run([directory / "bin/lava-test-runner", directory], check=True, timeout=LIMIT_S)

    archive = host.collect(str(directory), soon())

    attached = {one.pathname for one in read_results(archive).runs["uuid-0"].attachments}
    assert {"note", "stdout.log"} <= attached
    assert not (directory / "results.tar").exists()


def test_a_folder_of_an_earlier_test_shell_is_used_again(
    host: OverSsh, supervisor: Supervisor, tmp_path: Path
) -> None:
    directory = tmp_path / "lava"
    for _ in range(2):
        host.unpack(overlay(directory), str(directory), (), soon())

    assert str(directory) in to_remove(supervisor)


def test_a_folder_with_other_files_is_refused_and_left_alone(
    host: OverSsh, supervisor: Supervisor, tmp_path: Path
) -> None:
    directory = tmp_path / "precious"
    directory.mkdir()
    (directory / "file").write_text("x")

    with pytest.raises(JobError, match="other files in .*/precious, which is removed"):
        host.unpack(overlay(directory), str(directory), (), soon())

    assert [path.name for path in directory.iterdir()] == ["file"]
    assert str(directory) not in to_remove(supervisor)


def leave_by_an_earlier_job(supervisor: Supervisor, directory: Path) -> Path:
    """The ledger of a job that has left half of its tests in a folder."""
    directory.mkdir()
    (directory / "results").mkdir()
    ledger = Path(supervisor.folder).with_name("job-earlier") / ".supervisor/ledger"
    ledger.parent.mkdir(parents=True)
    ledger.write_text(f"limit 30\nfolder {directory}\n")
    return ledger


def test_files_of_an_earlier_job_are_no_fault_of_the_author(
    host: OverSsh, supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "lava"
    leave_by_an_earlier_job(supervisor, directory)
    monkeypatch.setattr(over_ssh, "_LEFTOVERS_S", 1)

    with pytest.raises(InfrastructureError, match="an earlier job has left files in .*/lava"):
        host.unpack(overlay(directory), str(directory), (), soon())

    assert str(directory) not in to_remove(supervisor)


def test_files_of_an_earlier_job_are_waited_for_until_they_are_removed(
    host: OverSsh, supervisor: Supervisor, tmp_path: Path
) -> None:
    directory = tmp_path / "lava"
    ledger = leave_by_an_earlier_job(supervisor, directory)
    remover = subprocess.Popen(
        ["sh", "-c", 'sleep 2; rm -rf "$0" "$1"', directory, ledger.parent.parent]
    )
    with remover:
        host.unpack(overlay(directory), str(directory), (), soon())

    assert (directory / "bin/lava-test-runner").exists()
