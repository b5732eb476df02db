# SPDX-License-Identifier: MIT
"""SSH servers with the configurations that hosts have: each works, or the reason is told."""

import dataclasses
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.connections import ssh
from lava_vmgroup.connections.link import Link
from lava_vmgroup.connections.ssh import dial
from lava_vmgroup.connections.ssh_keys import JobKey
from lava_vmgroup.vms.spool import Spool, SpooledStream
from tests.support.dropbear import dropbear
from tests.support.relay import relay
from tests.support.sshd import SSHD, Server, end_connection


def soon() -> Deadline:
    return Deadline.after("the test", 60.0)


def refusal(server: Server) -> str:
    """Why the host cannot be used."""
    with pytest.raises(InfrastructureError) as caught:
        dial(server.address, server.key, soon()).open_stream(["sh"], soon(), terminal=True)
    return caught.value.describe()


@contextmanager
def busy(link: Link, folder: Path) -> Iterator[SpooledStream]:
    """Open a job's sessions at once: heartbeat, console, records, a lock, files, and commands."""
    spool = Spool(folder=str(folder), file="spooled", mark="MARK=1")
    (folder / "spooled").write_text("first line\n")
    with ExitStack() as stack:
        lines = link.open_lines(["cat"], soon())
        stack.callback(lines.close)
        streams = [SpooledStream(spool, link, soon()) for _ in range(2)]
        for stream in streams:
            stack.callback(stream.close)
        lock = ["sh", "-c", "echo held; exec cat >/dev/null"]
        assert stack.enter_context(link.holding(lock, soon())) == "held"
        assert link.size_of("/etc/passwd", soon())
        assert link.check_run(["echo", "done"], soon()) == "done\n"
        assert lines.ask("beat", soon()) == "beat"
        yield streams[0]


@pytest.mark.parametrize("sessions", [1, 2, 10])
def test_job_works_with_few_sessions(sessions: int, sshd: Server, tmp_path: Path) -> None:
    sshd.configure(f"MaxSessions {sessions}")

    with dial(sshd.address, sshd.key, soon()) as link, busy(link, tmp_path) as stream:
        assert stream.read() == b"first line\n"


def test_stream_goes_on_over_other_connections_where_sessions_are_few(
    sshd: Server, tmp_path: Path
) -> None:
    sshd.configure("MaxSessions 1")
    with dial(sshd.address, sshd.key, soon()) as link, busy(link, tmp_path) as stream:
        assert stream.read() == b"first line\n"

        for process in sshd.processes:
            end_connection(process)
        with (tmp_path / "spooled").open("a") as file:
            file.write("second line\n")

        assert stream.read() == b"second line\n"
        assert link.get_bytes("/etc/hostname", 100, soon())


def test_threads_share_connections_where_sessions_are_few(sshd: Server) -> None:
    sshd.configure("MaxSessions 2")
    said: list[str] = []
    with dial(sshd.address, sshd.key, soon()) as link:

        def ask() -> None:
            said.append(link.check_run(["sh", "-c", "sleep 0.5; echo done"], soon()))

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert said == ["done\n"] * 6
    assert len(sshd.processes) <= 6


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("MaxSessions 0", "allows no session", "set MaxSessions in sshd_config"),
        ("PermitTTY no", "gives no terminal", "PermitTTY"),
        ("PubkeyAuthentication no\nPasswordAuthentication yes", "it wants: password", "Pubkey"),
        ("PermitRootLogin no\nDenyUsers *", "refused the login of", "PermitRootLogin"),
        # The server accepts the key and closes; if that comes too fast, the acceptance is lost.
        ("PermitRootLogin forced-commands-only", " the login", "PermitRootLogin"),
        ("AuthorizedKeysFile none", "refused the login of", "where AuthorizedKeysFile says"),
        ("AuthorizedKeysFile /nowhere/%u", "refused the login of", "where AuthorizedKeysFile"),
        ("PubkeyAcceptedAlgorithms sk-ssh-ed25519@openssh.com", "refused", "PubkeyAccepted"),
        (
            "AuthenticationMethods publickey,password\nPasswordAuthentication yes",
            "it wants: pass",
            "",
        ),
        ("ForceCommand internal-sftp", "it said 'This service allows sftp", "ForceCommand"),
        ("ForceCommand echo go away", "it said 'go away'", "ForceCommand"),
        ("KexAlgorithms sntrup761x25519-sha512@openssh.com", "too old or too strict", ""),
    ],
)
def test_server_that_cannot_be_used_is_told_with_the_reason(
    line: str, message: str, hint: str, sshd: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "_SHELL_S", 3.0)
    sshd.configure(line)

    told = refusal(sshd)

    assert message in told
    assert hint in told


def test_server_that_turns_connections_away_is_quoted(sshd: Server, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = tmp_path / "sshd/sshd_config"
    words = [SSHD, "-D", "-f", str(config), "-p", str(port)]
    options = ["ListenAddress=127.0.0.1", "MaxStartups=1:100:1", "PidFile=none"]
    server = subprocess.Popen([*words, *(f"-o{option}" for option in options)])
    address = dataclasses.replace(sshd.address, port=port)
    try:
        with dial(address, sshd.key, soon()), socket.create_connection(("127.0.0.1", port)) as held:
            assert held.recv(4) == b"SSH-"  # it now counts

            with pytest.raises(
                InfrastructureError, match="it says 'Exceeded MaxStartups'"
            ) as caught:
                dial(address, sshd.key, Deadline.after("SSH to the host", 3.0))
    finally:
        server.terminate()
        server.wait()
    assert "see MaxStartups" in str(caught.value.hint)


def test_words_before_the_greeting_are_none(sshd: Server) -> None:
    with relay(sshd.address.port) as network:
        network.foreword = b"Authorised use only.\r\n"
        address = dataclasses.replace(sshd.address, port=network.port)

        with dial(address, sshd.key, soon()) as link:
            assert link.check_run(["echo", "in"], soon()) == "in\n"


def test_forwarding_is_not_needed(sshd: Server) -> None:
    sshd.configure("DisableForwarding yes")

    with dial(sshd.address, sshd.key, soon()) as link:
        assert link.check_run(["echo", "in"], soon()) == "in\n"


@pytest.mark.parametrize(
    "accepted",
    [
        "ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256",
        "rsa-sha2-512,rsa-sha2-256",
        "ssh-ed25519",
    ],
)
@pytest.mark.parametrize("tries", [1, 6])
def test_job_logs_in_with_a_type_of_key_that_the_host_takes(
    accepted: str, tries: int, sshd: Server
) -> None:
    sshd.configure(f"PubkeyAcceptedAlgorithms {accepted}\nMaxAuthTries {tries}")

    with dial(sshd.address, sshd.key, soon()) as link:
        assert link.check_run(["echo", "in"], soon()) == "in\n"


def another_host_key(server: Server, kind: str) -> tuple[str, str]:
    """Give the host one more key."""
    file = server.home.parent / f"host_key_{kind}"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", file], check=True)
    server.configure(f"HostKey {file}")
    name, key, _ = Path(f"{file}.pub").read_text().split(maxsplit=2)
    return name, key


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_only_known_key_is_asked_for_where_the_host_has_others(kind: str, sshd: Server) -> None:
    known = another_host_key(sshd, kind)
    address = dataclasses.replace(sshd.address, host_keys=(known,))

    with dial(address, sshd.key, soon()) as link:
        assert link.check_run(["echo", "in"], soon()) == "in\n"


def test_revoked_host_key_is_refused_as_that(sshd: Server) -> None:
    (own,) = sshd.address.host_keys
    other = another_host_key(sshd, "ecdsa")
    sshd.configure("HostKeyAlgorithms ssh-ed25519")
    address = dataclasses.replace(sshd.address, host_keys=(other,), revoked_keys=(own,))

    with pytest.raises(InfrastructureError, match="host key that is revoked: SHA256:") as caught:
        dial(address, sshd.key, soon())
    assert "@revoked" in str(caught.value.hint)


def test_much_input_is_sent_in_time(sshd: Server) -> None:
    data = bytes(100 << 20)

    with dial(sshd.address, sshd.key, soon()) as link:
        assert link.check_run(["wc", "-c"], soon(), stdin=data).strip() == str(len(data))


def test_sftp_works_where_the_server_is_installed_and_not_configured(sshd: Server) -> None:
    config = sshd.home.parent / "sshd_config"
    config.write_text(config.read_text().replace("Subsystem sftp internal-sftp\n", ""))

    with dial(sshd.address, sshd.key, soon()) as link:
        assert link.size_of("/etc/passwd", soon()) == Path("/etc/passwd").stat().st_size


@pytest.mark.parametrize("shell", ["/bin/bash", "/usr/bin/fish", "/usr/bin/tcsh", "/usr/bin/zsh"])
def test_dropbear_serves_a_job_with_any_login_shell(shell: str, tmp_path: Path) -> None:
    key = JobKey()

    with dropbear(tmp_path / "dropbear", key, shell=shell) as address:
        (tmp_path / "dropbear/home/.bashrc").write_text("echo Welcome to the lab\n")
        with dial(address, key, soon()) as link, busy(link, tmp_path) as stream:
            assert stream.read() == b"first line\n"
            words = ["a\nb", "!!", "'", "x" * 4000]
            assert link.check_run(["printf", "<%s>", *words], soon()) == "".join(
                f"<{word}>" for word in words
            )
            terminal = link.open_stream(["tty"], soon(), terminal=True)
            assert terminal.read().startswith(b"/dev/")


def test_session_that_dropbear_closes_with_another_is_asked_for_again(tmp_path: Path) -> None:
    key = JobKey()

    with dropbear(tmp_path / "dropbear", key) as address:
        (tmp_path / "dropbear/home/.bashrc").write_text("echo text that is no SFTP\n")
        for _ in range(10):  # each of them had a one in four chance to be refused
            with dial(address, key, soon()) as link, busy(link, tmp_path):
                pass


def test_login_that_dropbear_refuses_is_told(tmp_path: Path) -> None:
    with (
        dropbear(tmp_path / "dropbear", JobKey()) as address,
        pytest.raises(InfrastructureError, match="refused the login of"),
    ):
        dial(address, JobKey(), soon())
