# SPDX-License-Identifier: MIT
"""A VM's folder on a host, where the host is this machine behind a real sshd."""

import os
import shlex
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, JobError
from lava_vmgroup.connections.link import Link
from lava_vmgroup.connections.ssh import dial
from lava_vmgroup.connections.stream import ByteStream
from lava_vmgroup.vms.folder import VMFolder, launch_program
from lava_vmgroup.vms.supervisor import Supervisor
from tests.support.local_lab import only_programs
from tests.support.processes import is_running, until
from tests.support.relay import relay
from tests.support.sshd import Server
from tests.support.supervised import supervised


def soon() -> Deadline:
    return Deadline.after("the test", 30.0)


@pytest.fixture
def link(sshd: Server) -> Iterator[Link]:
    with dial(sshd.address, sshd.key, soon()) as link:
        yield link


@pytest.fixture
def supervisor(sshd: Server, tmp_path: Path) -> Iterator[Supervisor]:
    with supervised(sshd, tmp_path, "1") as made:
        yield made


def read_until(stream: ByteStream, wanted: bytes) -> bytes:
    seen = b""
    while wanted not in seen:
        chunk = stream.read()
        assert chunk, f"the stream ended after {seen!r}"
        seen += chunk
    return seen


def pid_in(path: Path) -> int:
    return int(path.read_text())


def test_removing_ends_what_went_into_the_background_and_nothing_else(
    link: Link, supervisor: Supervisor, tmp_path: Path
) -> None:
    ours = VMFolder("vm1", supervisor, link)
    neighbour = VMFolder("vm1x", supervisor, link)
    for folder in (ours, neighbour):
        folder.make({}, soon())
        # Ends by force only; the last command is the console.
        stubborn = "trap '' TERM; while :; do sleep 0.1; done"
        commands = [f'setsid sh -c "{stubborn}" & echo $! >../../pid-$NAME', "exec cat"]
        environment = {"NAME": Path(folder.path).name}
        folder.start_by(commands, environment, soon())
    pids = [pid_in(tmp_path / f"pid-{name}") for name in ("vm1", "vm1x")]

    ours.remove(soon())

    try:
        assert [is_running(pid) for pid in pids] == [False, True]
        assert not Path(ours.path).exists()
        assert Path(neighbour.path).exists()
    finally:
        neighbour.remove(soon())
    assert not is_running(pids[1])


def test_stubborn_program_is_ended_in_time_on_a_host_on_which_all_takes_long(
    sshd: Server, tmp_path: Path
) -> None:
    only_programs(sshd, replaced={"sleep": "#!/bin/sh\nexec /usr/bin/sleep 0.5\n"})
    with supervised(sshd, tmp_path, "1") as made, dial(sshd.address, sshd.key, soon()) as link:
        folder = VMFolder("vm1", made, link)
        folder.make({}, soon())
        ready = tmp_path / "ready"
        stubborn = f"trap '' TERM; echo >{ready}; while :; do sleep 0.1; done"
        folder.start_by([f"setsid sh -c {shlex.quote(stubborn)} & exec cat"], {}, soon())
        until(ready.exists)

        folder.remove(soon())

        assert not Path(folder.path).exists()


def test_last_command_is_attached_to_on_a_terminal_that_adds_nothing(
    link: Link, supervisor: Supervisor, tmp_path: Path
) -> None:
    folder = VMFolder("vm1", supervisor, link)
    folder.make({}, soon())
    commands = ["echo prepared >state", 'tty >/dev/null && cat state && echo "$VALUE" && exec cat']

    console = folder.start_by(commands, {"VALUE": "a  $b 'c'"}, soon())
    seen = read_until(console, b"'c'\n")
    console.write(b"typed\x03\n", soon())

    assert seen == b"prepared\na  $b 'c'\n"
    assert read_until(console, b"\n") == b"typed\x03\n"
    folder.remove(soon())


def test_command_that_fails_is_told_with_its_words(
    link: Link, supervisor: Supervisor, tmp_path: Path
) -> None:
    folder = VMFolder("vm1", supervisor, link)
    folder.make({}, soon())

    with pytest.raises(JobError, match=r"'echo no such pool; exit 4' ended with status 4.*no such"):
        folder.start_by(["echo no such pool; exit 4", "touch started"], {}, soon())

    assert not (Path(folder.path) / "started").exists()
    folder.remove(soon())


def test_nothing_starts_when_the_folder_is_gone(
    link: Link, supervisor: Supervisor, tmp_path: Path
) -> None:
    folder = VMFolder("vm1", supervisor, link)
    folder.make({}, soon())
    folder.remove(soon())

    with pytest.raises(InfrastructureError, match="ended with status 1"):
        folder.start(["touch", str(tmp_path / "started")], soon())
    assert not (tmp_path / "started").exists()


def test_usual_launch_takes_more_options(
    link: Link, supervisor: Supervisor, tmp_path: Path
) -> None:
    folder = VMFolder("vm1", supervisor, link)
    usual = launch_program(["printf", "<%s>", "a b"], ["$HOME"])
    folder.make({"launch": usual}, soon())

    console = folder.start_by(["./launch -device 'virtio rng'"], {}, soon())

    assert read_until(console, b"HOME>") == b"<a b><-device><virtio rng><$HOME>"
    assert os.access(Path(folder.path) / "launch", os.X_OK)
    folder.remove(soon())


def test_removing_goes_on_over_another_connection(
    sshd: Server, supervisor: Supervisor, tmp_path: Path
) -> None:
    with (
        relay(sshd.address.port) as network,
        dial(replace(sshd.address, port=network.port), sshd.key, soon()) as link,
    ):
        folder = VMFolder("vm1", supervisor, link)
        folder.make({}, soon())
        asked, ready = tmp_path / "asked", tmp_path / "ready"
        ignoring = f"trap 'echo >{asked}' TERM; echo >{ready}; while :; do sleep 0.1; done"
        folder.start_by([f"setsid sh -c {shlex.quote(ignoring)} & exec cat"], {}, soon())
        until(ready.exists)
        removing = threading.Thread(target=folder.remove, args=(soon(),))
        removing.start()
        until(asked.exists)

        network.cut()

        removing.join()
        assert not Path(folder.path).exists()
