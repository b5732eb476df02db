# SPDX-License-Identifier: MIT
"""A real OpenSSH server on loopback, for this user, with keys of its own."""

import getpass
import resource
import shlex
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from lava_vmgroup.connections.ssh_access import Address
from lava_vmgroup.connections.ssh_keys import JobKey

_END_S = 5.0
SSHD = "/usr/sbin/sshd"
SFTP_SERVER = "/usr/lib/openssh/sftp-server"


@dataclass(frozen=True, kw_only=True)
class Server:
    """An SSH server and what a client has to know of it."""

    address: Address
    key: JobKey
    home: Path
    """The user's home in its sessions, with the keys that it accepts."""
    processes: list[subprocess.Popen[bytes]]
    within: Sequence[str] = ()
    """The words of a command that runs another one, on the host that is to be served."""
    _file_limit: list[int] = field(default_factory=lambda: [resource.RLIM_INFINITY])

    def limit_files(self, size: int) -> None:
        """Let no file grow beyond `size` by what runs on the host from now on, or already does.

        Programs cannot tell it from a disk that is full, but by the words of the error.
        """
        self._file_limit[0] = size
        found = [process.pid for process in self.processes]
        for pid in found:
            with suppress(ProcessLookupError, FileNotFoundError):  # it may end meanwhile
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, size))
                for task in Path(f"/proc/{pid}/task").glob("*/children"):
                    found += map(int, task.read_text().split())

    def serve(self, connection: socket.socket, config: Path) -> None:
        """Serve one connection by a process of its own."""
        limit = self._file_limit[0]
        # SIGXFSZ stays ignored, as Python does it: who writes too much hears of it.
        process = subprocess.Popen(
            [*self.within, SSHD, "-i", "-e", "-f", str(config)],
            stdin=connection.fileno(),
            stdout=connection.fileno(),
            stderr=subprocess.DEVNULL,
            restore_signals=False,
        )
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, limit))
        self.processes.append(process)

    @property
    def authorized_keys(self) -> Path:
        """The keys that the server accepts."""
        return self.home / ".ssh/authorized_keys"

    def configure(self, *lines: str) -> None:
        """Change the server's configuration for the connections to come: these lines win."""
        config = self.home.parent / "sshd_config"
        text = config.read_text()
        if any(line.startswith("Subsystem ") for line in lines):
            text = text.replace("Subsystem sftp internal-sftp\n", "")
        config.write_text("\n".join((*lines, text)))

    def log_in_with(self, *shell: str) -> None:
        """Give the user another login shell: sshd runs each command, and its SFTP, by that."""
        self.configure(
            f'ForceCommand exec {shlex.join(shell)} -c "$SSH_ORIGINAL_COMMAND"',
            f"Subsystem sftp {SFTP_SERVER}",
        )

    def offer_no_sftp(self) -> None:
        """Have no server for SFTP, neither configured nor installed."""
        other = "case $SSH_ORIGINAL_COMMAND in *sftp-server*) exit 127 ;; esac"
        self.configure(
            f'ForceCommand {other}; exec bash -c "$SSH_ORIGINAL_COMMAND"',
            f"Subsystem sftp {SFTP_SERVER}",
        )

    def accept_new_key(self, path: Path) -> None:
        """Make a key, whose private half goes to `path`, and have the server accept it."""
        with self.authorized_keys.open("a") as keys:
            keys.write(make_key(path))


def make_key(path: Path) -> str:
    """Make a key pair, whose private half goes to `path`; returns the public half's line."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return Path(f"{path}.pub").read_text()


@cache
def users_key() -> JobKey:
    """The key that each server accepts; making one takes a good part of a second."""
    return JobKey()


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Server]:
    """A server on this machine."""
    with ssh_server(tmp_path) as server:
        yield server


@contextmanager
def ssh_server(parent: Path, within: Sequence[str] = ()) -> Iterator[Server]:
    """Starts an ``sshd -i`` per connection, so that the listening port is ours from the start."""
    assert Path(SSHD).exists(), "install the package openssh-server"
    Path("/run/sshd").mkdir(exist_ok=True)
    folder = parent / "sshd"
    home = folder / "home"
    (home / ".ssh").mkdir(parents=True)
    host_key = folder / "host_key"
    public_key = make_key(host_key)
    key = users_key()
    (home / ".ssh/authorized_keys").write_text("\n".join((*key.authorized_lines("test"), "")))
    config = folder / "sshd_config"
    config.write_text(
        f"HostKey {host_key}\nAuthorizedKeysFile {home}/.ssh/authorized_keys\nUsePAM no\n"
        f"SetEnv HOME={home}\n"
        "StrictModes no\nPasswordAuthentication no\nSubsystem sftp internal-sftp\n"
    )
    kind, public, _ = public_key.split(maxsplit=2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(
            address=Address(
                host="127.0.0.1",
                port=listener.getsockname()[1],
                username=getpass.getuser(),
                host_keys=((kind, public),),
            ),
            key=key,
            home=home,
            processes=[],
            within=within,
        )
        thread = threading.Thread(target=_serve, args=(listener, config, server), daemon=True)
        thread.start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    for process in server.processes:
        end_connection(process)


def end_connection(process: subprocess.Popen[bytes]) -> None:
    """End an sshd of one connection; one that has just begun may not notice SIGTERM."""
    process.terminate()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _serve(listener: socket.socket, config: Path, server: Server) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            server.serve(connection, config)
