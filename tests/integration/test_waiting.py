# SPDX-License-Identifier: MIT
"""A cancel or the deadline ends every wait for something outside this process."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import DeadlineExpired, InfrastructureError, PeerFailed
from lava_vmgroup.connections.link import Link
from lava_vmgroup.connections.process import run_configured
from lava_vmgroup.connections.ssh import dial
from lava_vmgroup.connections.stream import FdStream
from lava_vmgroup.connections.tcp import connect
from tests.support.processes import is_running, until
from tests.support.relay import relay
from tests.support.sshd import Server


def soon() -> Deadline:
    return Deadline.after("the test", 60.0)


@contextmanager
def canceled() -> Iterator[Deadline]:
    """A long deadline for work that is canceled soon; it must not be what ends the work."""
    token = CancelToken()
    timer = threading.Timer(0.3, token.cancel, [PeerFailed("the host died")])
    timer.start()
    deadline = Deadline.after("the test", 60.0, token)
    with pytest.raises(PeerFailed, match="the host died"):
        yield deadline
    assert not deadline.expired
    timer.join()


def test_connection_to_a_machine_that_drops_everything_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as first:
        host, port = full.getsockname()
        first.connect((host, port))

        with canceled() as deadline:
            connect(host, port, deadline)
        with pytest.raises(DeadlineExpired, match="timed out: the console, limit 0.2 s"):
            connect(host, port, Deadline.after("the console", 0.2))


def test_console_that_takes_nothing_is_given_up() -> None:
    taking, giving = os.pipe()
    stream = FdStream(giving)
    try:
        with canceled() as deadline:
            stream.write(bytes(1 << 20), deadline)
    finally:
        stream.close()
        os.close(taking)


def test_command_that_leaves_a_program_with_its_output_is_given_up(tmp_path: Path) -> None:
    command = f"setsid sh -c 'echo $$ >{tmp_path}/left; exec sleep 600' & sleep 600"

    with canceled() as deadline:
        run_configured(command, "hard_reset_command", deadline)

    left = int((tmp_path / "left").read_text())
    try:
        assert is_running(left)
    finally:
        os.kill(left, 9)
        until(lambda: not is_running(left))


def test_name_that_no_host_has_is_not_tried_again(
    sshd: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def find(*words: object, **_: object) -> None:
        asked.append(words)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", find)

    with pytest.raises(InfrastructureError, match="there is no host '127.0.0.1'"):
        dial(sshd.address, sshd.key, Deadline.after("SSH to the host", 10.0))
    assert len(asked) == 1


@pytest.mark.parametrize("name", ["board..lab", "b" * 64 + ".lab", ".lab"])
def test_name_that_no_host_can_have_is_told(sshd: Server, name: str) -> None:
    address = replace(sshd.address, host=name)

    with pytest.raises(InfrastructureError, match=f"there is no host '{name}'"):
        dial(address, sshd.key, Deadline.after("SSH to the host", 10.0))


def test_host_that_speaks_another_ssh_is_not_tried_again(sshd: Server) -> None:
    with (sshd.home.parent / "sshd_config").open("a") as config:
        config.write("Ciphers chacha20-poly1305@openssh.com\n")

    with pytest.raises(InfrastructureError, match="no acceptable ciphers"):
        dial(sshd.address, sshd.key, Deadline.after("SSH to the host", 10.0))
    assert len(sshd.processes) == 1


def hold(link: Link, deadline: Deadline) -> None:
    with link.holding(["cat"], deadline):
        pass


ASKING: dict[str, Callable[[Link, Deadline], object]] = {
    "command": lambda link, deadline: link.run(["true"], deadline),
    "stream": lambda link, deadline: link.open_stream(["cat"], deadline),
    "terminal": lambda link, deadline: link.open_stream(["cat"], deadline, terminal=True),
    "lock": hold,
    "file": lambda link, deadline: link.size_of("/etc/passwd", deadline),
}


@pytest.mark.parametrize("ask", ASKING.values(), ids=ASKING)
def test_host_that_falls_silent_in_midst_of_a_question_is_given_up(
    ask: Callable[[Link, Deadline], object], sshd: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_session = paramiko.Transport.open_session
    with (
        relay(sshd.address.port) as network,
        dial(replace(sshd.address, port=network.port), sshd.key, soon()) as link,
    ):

        def open_the_last(transport: paramiko.Transport, timeout: float) -> paramiko.Channel:
            channel = open_session(transport, timeout=timeout)
            network.freeze()
            return channel

        monkeypatch.setattr(paramiko.Transport, "open_session", open_the_last)

        with pytest.raises(DeadlineExpired, match="timed out: an answer, limit 1 s"):
            ask(link, Deadline.after("an answer", 1.0))
        network.thaw()
        with canceled() as deadline:
            ask(link, deadline)
