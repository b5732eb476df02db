# SPDX-License-Identifier: MIT
"""Opening a booted system, here a shell of this machine, to SSH."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.connections.process import ProcessStream
from lava_vmgroup.connections.ssh_keys import JobKey
from lava_vmgroup.console import access
from lava_vmgroup.console.access import KeyOwner, Opened, open_to_ssh
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.vms import supervisor
from lava_vmgroup.vms.vm_host import DIAL_S
from tests.support.processes import until

SERVER = "192.0.2.1"


def soon() -> Deadline:
    return Deadline.after("the test", 30.0)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def shell(tmp_path: Path, home: Path) -> Iterator[Shell]:
    """A shell with a home of its own, whose network comes up after a while."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "ip").write_text(
        "#!/bin/sh\n"
        f"cd {tmp_path}\n"
        'echo "$*" >>asked\n'
        '[ "$(wc -l <asked)" -gt 2 ] || { echo RTNETLINK answers: no route; exit 2; }\n'
        f"echo '{SERVER} via 198.51.100.1 dev eth0 src 198.51.100.7 uid 0'\n"
    )
    (programs / "ip").chmod(0o755)
    bash = f"env HOME={home} PATH={programs}:/usr/bin:/bin PS1='# ' bash --norc --noprofile -i"
    with Console(
        ProcessStream(f"setsid --ctty --wait {bash}"), Recorder(tmp_path / "log")
    ) as console:
        yield Shell.prepare(console, soon())


def opened(shell: Shell, key: JobKey, claim: str = "", **keys: str) -> Opened:
    config = DeviceConfig(hostname="board01", **keys)  # type: ignore[arg-type]
    owner = KeyOwner(ip=SERVER, key=key, job="1.x", claim=claim)
    return open_to_ssh(shell, config, owner, log=NodeLog(), deadline=soon())


def processes(home: Path) -> list[str]:
    """Return the processes of the system: the shell and its left-overs."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"HOME={home}\0".encode() in (folder / "environ").read_bytes():
                found.append(folder.name)
    return found


def test_address_is_the_one_towards_the_dispatcher_once_there_is_one(
    shell: Shell, tmp_path: Path
) -> None:
    found = opened(shell, JobKey())

    assert (found.ip, found.access.address.host) == ("198.51.100.7", "198.51.100.7")
    assert f"route get {SERVER}" in (tmp_path / "asked").read_text().splitlines()


def test_address_of_the_lab_is_used_instead_of_the_systems_own(shell: Shell) -> None:
    found = opened(shell, JobKey(), ssh_host="gateway")

    assert (found.ip, found.access.address.host) == ("198.51.100.7", "gateway")


def test_key_is_added_for_the_consoles_user_alone(shell: Shell, home: Path) -> None:
    key = JobKey()
    shell.check_run("umask 000", soon())

    opened(shell, key)

    folder, file = home / ".ssh", home / ".ssh/authorized_keys"
    assert file.read_text().splitlines() == [*key.authorized_lines("lava-vmgroup-1.x")]
    assert [path.stat().st_mode & 0o777 for path in (folder, file)] == [0o700, 0o600]


def test_keys_that_are_there_stay(shell: Shell, home: Path) -> None:
    (home / ".ssh").mkdir()
    (home / ".ssh/authorized_keys").write_text("ssh-ed25519 AAAA somebody\n")

    opened(shell, JobKey())

    lines = (home / ".ssh/authorized_keys").read_text().splitlines()
    assert (len(lines), lines[0]) == (4, "ssh-ed25519 AAAA somebody")


def test_key_of_the_user_without_a_line_end_stays_whole(shell: Shell, home: Path) -> None:
    (home / ".ssh").mkdir()
    file = home / ".ssh/authorized_keys"
    file.write_text("ssh-ed25519 AAAA user@desk")
    key = JobKey()

    opened(shell, key)

    assert file.read_text().splitlines() == [
        "ssh-ed25519 AAAA user@desk",
        *key.authorized_lines("lava-vmgroup-1.x"),
    ]


def test_key_of_a_dispatcher_that_dies_before_it_comes_is_removed(
    shell: Shell, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "_UNCLAIMED_S", 1)
    (home / ".ssh").mkdir()
    file = home / ".ssh/authorized_keys"
    others = "ssh-ed25519 AAAA user@desk\nssh-ed25519 AAAA lava-vmgroup-1yx\n"

    opened(shell, JobKey())
    added = file.read_text()
    file.write_text(f"{others}{added}")
    shell.console.close()

    until(lambda: file.read_text() == others)
    until(lambda: not processes(home))


def test_only_line_goes_with_its_file(
    shell: Shell, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "_UNCLAIMED_S", 1)

    opened(shell, JobKey())

    until(lambda: not (home / ".ssh/authorized_keys").exists())


def test_claimed_key_stays(shell: Shell, home: Path, tmp_path: Path) -> None:
    key = JobKey()

    opened(shell, key, str(tmp_path / "claim"))
    (tmp_path / "claim").touch()
    shell.console.close()

    until(lambda: not processes(home))
    assert key.publics[0] in (home / ".ssh/authorized_keys").read_text()
    assert access._UNCLAIMED_S > DIAL_S + supervisor._START_S


def test_keys_of_dead_jobs_go_with_the_next_one(shell: Shell, home: Path) -> None:
    (home / ".ssh").mkdir()
    file = home / ".ssh/authorized_keys"
    file.write_text("ssh-ed25519 AAAA lava-vmgroup-0\nssh-ed25519 AAAA lava-vmgroup-1 of mine\n")
    key = JobKey()

    opened(shell, key)

    assert file.read_text().splitlines() == [
        "ssh-ed25519 AAAA lava-vmgroup-1 of mine",
        *key.authorized_lines("lava-vmgroup-1.x"),
    ]
