# SPDX-License-Identifier: MIT
"""A host that is up already: the ssh driver against a real OpenSSH server."""

import dataclasses
import getpass
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import ConfigurationError, InfrastructureError, JobError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.boards import Board, BoardSetup, load
from lava_vmgroup.config import files
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.config.inventory import load_device
from lava_vmgroup.connections.ssh import dial
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.deploy.fetch import JobFiles
from lava_vmgroup.deploy.tftp import KernelFiles
from tests.support.sshd import Server, make_key


def soon() -> Deadline:
    return Deadline.after("the test", 30.0)


@pytest.fixture
def config(sshd: Server, tmp_path: Path) -> DeviceConfig:
    """A lab's device file in v1's words, with the host key pinned."""
    sshd.accept_new_key(tmp_path / "id")
    ((kind, key),) = sshd.address.host_keys
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{sshd.address.port} {kind} {key}\n")
    folder = tmp_path / "config"
    (folder / "devices").mkdir(parents=True)
    (folder / "device-types").mkdir()
    (folder / "device-types/rack.conf").write_text("client_type = dummy\ndummy_driver = ssh\n")
    (folder / "devices/rack01.conf").write_text(
        f"device_type = rack\ndummy_ssh_host = 127.0.0.1\ndummy_ssh_port = {sshd.address.port}\n"
        f"dummy_ssh_username = {getpass.getuser()}\ndummy_ssh_identity_file = {tmp_path}/id\n"
        f"ssh_known_hosts = {tmp_path}/known_hosts\n"
    )
    return load_device("rack01", files.search_path(folder))


@pytest.fixture
def host(
    config: DeviceConfig, tmp_path: Path, job_files: JobFiles
) -> Iterator[Callable[..., Board]]:
    made: list[Board] = []

    def make(**keys: object) -> Board:
        setup = BoardSetup(
            config=dataclasses.replace(config, **keys),  # type: ignore[arg-type]
            dispatcher=DispatcherConfig(),
            recorder=Recorder(tmp_path / "console.log"),
            log=NodeLog("rack01"),
            files=job_files,
            job="job-1",
        )
        made.append(load(setup))
        return made[-1]

    yield make
    for board in made:
        board.close()


def test_shell_is_reached_and_reached_again(host: Callable[..., Board], tmp_path: Path) -> None:
    board = host(login_commands=("export LOGGED=in",))

    first = board.boot(soon()).run("echo $LOGGED $$; tty", soon())
    second = board.boot(soon()).run("echo $LOGGED $$; tty", soon())
    board.power_off(soon())

    assert (first[0], second[0]) == (0, 0)
    assert first[1].startswith("in ")
    assert first[1].splitlines()[1].startswith("/dev/pts/")
    assert first[1].split()[1] != second[1].split()[1]
    assert "/dev/pts/" in (tmp_path / "console.log").read_text()


def test_vms_get_a_way_in_that_needs_no_new_key(host: Callable[..., Board], sshd: Server) -> None:
    authorized = sshd.authorized_keys.read_text()
    board = host()
    board.boot(soon())

    assert board.access is not None
    with dial(board.access.address, board.access.key, soon()) as link:
        assert link.check_run(["echo", "in"], soon()) == "in\n"
        assert link.peer_ip == "127.0.0.1"
    assert sshd.authorized_keys.read_text() == authorized


def test_other_host_key_than_the_pinned_one_is_refused(
    host: Callable[..., Board], sshd: Server, tmp_path: Path
) -> None:
    public = make_key(tmp_path / "other")
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{sshd.address.port} {public}")

    with pytest.raises(InfrastructureError, match="shows an SSH host key") as caught:
        host().boot(soon())
    assert "ssh_known_hosts" in str(caught.value.hint)


def test_hashed_names_in_known_hosts_are_found(host: Callable[..., Board], tmp_path: Path) -> None:
    command = ["ssh-keygen", "-q", "-H", "-f", str(tmp_path / "known_hosts")]
    subprocess.run(command, check=True, capture_output=True)
    assert "127.0.0.1" not in (tmp_path / "known_hosts").read_text()

    assert host().boot(soon()).run("true", soon()) == (0, "")


def test_login_that_the_host_refuses_is_told(host: Callable[..., Board], tmp_path: Path) -> None:
    make_key(tmp_path / "stranger")

    with pytest.raises(InfrastructureError, match="refused the login"):
        host(ssh_identity_file=tmp_path / "stranger").boot(soon())


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("ssh_host", "", "has no ssh_host"),
        ("ssh_identity_file", None, "has no ssh_identity_file"),
        ("ssh_identity_file", Path("/dev/null"), "cannot use the SSH key /dev/null"),
        ("ssh_known_hosts", (), "made by ssh-keyscan and then checked"),
        ("ssh_known_hosts", (Path("/dev/null"),), "has no key of .*ssh-keyscan -p"),
        ("ssh_known_hosts", (Path("/no/such/file"),), "cannot read the SSH host keys"),
    ],
)
def test_lab_that_does_not_say_all_is_told_what_is_missing(
    host: Callable[..., Board], key: str, value: object, message: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        host(**{key: value})
    assert re.search(message, caught.value.describe())


def test_other_dummy_drivers_are_refused_by_name(host: Callable[..., Board]) -> None:
    with pytest.raises(ConfigurationError, match="no driver for dummy_driver 'schroot'") as caught:
        host(dummy_driver="schroot")
    assert caught.value.hint == "known: ssh"


def test_nothing_can_be_deployed(host: Callable[..., Board], tmp_path: Path) -> None:
    board = host()

    with pytest.raises(JobError, match="rack01 is up already"):
        board.deploy_image(tmp_path, soon())
    with pytest.raises(JobError, match="rack01 is up already"):
        board.deploy_kernel(KernelFiles(kernel=tmp_path), soon())
