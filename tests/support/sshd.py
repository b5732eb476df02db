# SPDX-License-Identifier: MIT
"""A real OpenSSH server on loopback, for this user, with keys of its own."""

import getpass
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lava_vmgroup.connections.ssh_access import Address
from lava_vmgroup.connections.ssh_keys import JobKey

SSHD = "/usr/sbin/sshd"


@dataclass(frozen=True, kw_only=True)
class Server:
    """An SSH server and what a client has to know of it."""

    address: Address
    key: JobKey
    home: Path
    """The user's home in its sessions, with the keys that it accepts."""
    processes: list[subprocess.Popen[bytes]]

    @property
    def authorized_keys(self) -> Path:
        """The keys that the server accepts."""
        return self.home / ".ssh/authorized_keys"

    def accept_new_key(self, path: Path) -> None:
        """Make a key, whose private half goes to `path`, and have the server accept it."""
        with self.authorized_keys.open("a") as keys:
            keys.write(make_key(path))


def make_key(path: Path) -> str:
    """Make a key pair, whose private half goes to `path`; returns the public half's line."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return Path(f"{path}.pub").read_text()


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Server]:
    """Starts an ``sshd -i`` per connection, so that the listening port is ours from the start."""
    assert Path(SSHD).exists(), "install the package openssh-server"
    Path("/run/sshd").mkdir(exist_ok=True)
    folder = tmp_path / "sshd"
    home = folder / "home"
    (home / ".ssh").mkdir(parents=True)
    host_key = folder / "host_key"
    public_key = make_key(host_key)
    key = JobKey()
    (home / ".ssh/authorized_keys").write_text(key.authorized_line("test") + "\n")
    config = folder / "sshd_config"
    config.write_text(
        f"HostKey {host_key}\nAuthorizedKeysFile {home}/.ssh/authorized_keys\nUsePAM no\n"
        f"SetEnv HOME={home}\n"
        "StrictModes no\nPasswordAuthentication no\nSubsystem sftp internal-sftp\n"
    )
    kind, public, _ = public_key.split(maxsplit=2)
    processes: list[subprocess.Popen[bytes]] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, config, processes), daemon=True)
        thread.start()
        yield Server(
            address=Address(
                host="127.0.0.1",
                port=listener.getsockname()[1],
                username=getpass.getuser(),
                host_keys=((kind, public),),
            ),
            key=key,
            home=home,
            processes=processes,
        )
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    for process in processes:
        process.terminate()
        process.wait()


def _serve(listener: socket.socket, config: Path, processes: list[subprocess.Popen[bytes]]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            command = [SSHD, "-i", "-e", "-f", str(config)]
            fd = connection.fileno()
            processes.append(
                subprocess.Popen(command, stdin=fd, stdout=fd, stderr=subprocess.DEVNULL)
            )
