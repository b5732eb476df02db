# SPDX-License-Identifier: MIT
"""``lava-vmgroup-coordinator`` as a program: serving, ending, refusing, and telling its status."""

from __future__ import annotations

import json
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.cli.coordinator import main
from lava_vmgroup.config.coordinator import Endpoint
from lava_vmgroup.multinode.client import Membership, MultiNodeClient
from lava_vmgroup.multinode.coordinator import MOST_FILES
from tests.integration.multinode.conftest import bare, deadline, start
from tests.support.coordinators import our_coordinator

if TYPE_CHECKING:
    from tests.integration.multinode.conftest import Address, Bare, Start

__all__ = ["bare", "deadline", "start"]

TOKEN = "s3cret-token"


def member(address: Address, name: str, **options: Any) -> MultiNodeClient:
    endpoint = Endpoint(host=address[0], port=address[1], token=options.pop("token", None))
    given = {"group_name": "nightly", "group_size": 2, "role": "guest", **options}
    return MultiNodeClient(endpoint, Membership(client_name=name, **given))


def status(capsys: pytest.CaptureFixture[str], address: Address, *options: str) -> str:
    """Return the output of the status command."""
    assert main(["status", "--host", address[0], "--port", str(address[1]), *options]) == 0
    return capsys.readouterr().out


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well(number: signal.Signals) -> None:
    with our_coordinator() as running:
        running.process.send_signal(number)

        assert running.process.wait(60) == 0


def test_it_takes_the_configuration_of_lava_and_writes_a_log(tmp_path: Path, bare: Bare) -> None:
    config, log = tmp_path / "lava-coordinator.conf", tmp_path / "coordinator.log"
    config.write_text(json.dumps({"port": 1, "blocksize": 4096, "poll_delay": 3}))

    options = ["--config", str(config), "--logfile", str(log), "--loglevel", "debug"]
    with our_coordinator(*options) as running:
        bare.ask(running.address, {"request": "nonsense"})

    assert f"listening on {running.address[0]}:{running.address[1]}" in log.read_text()
    assert "nonsense" in log.read_text()
    assert "ended by SIGTERM" in log.read_text()


def test_a_port_that_is_taken_is_status_4_with_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert main(["--port", str(other.getsockname()[1])]) == 4

    assert "choose another port" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("config", "words"),
    [({"port": "x"}, "port: expected"), ({"token_file": "none"}, "cannot read")],
)
def test_a_wrong_configuration_is_status_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], config: dict[str, Any], words: str
) -> None:
    path = tmp_path / "lava-coordinator.conf"
    path.write_text(json.dumps(config))

    assert main(["--config", str(path)]) == 3
    assert words in capsys.readouterr().err


def test_a_log_that_cannot_be_written_is_status_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--logfile", str(tmp_path / "missing" / "log")]) == 3
    assert "choose another --logfile" in capsys.readouterr().err


@pytest.mark.parametrize("open_to_all", [True, False])
def test_listening_to_other_machines_without_a_token_is_warned_of(
    tmp_path: Path, token_file: Path, open_to_all: bool
) -> None:
    log = tmp_path / "log"
    secret = [] if open_to_all else ["--token-file", str(token_file)]
    with our_coordinator("--listen", "0.0.0.0", "--logfile", str(log), *secret):  # noqa: S104
        pass

    assert ("warning" in log.read_text()) is open_to_all


def test_only_who_has_the_token_may_join_and_no_log_tells_it(
    tmp_path: Path, token_file: Path, bare: Bare, deadline: Deadline
) -> None:
    log = tmp_path / "log"
    options = ["--token-file", str(token_file), "--logfile", str(log), "-l", "DEBUG"]
    with our_coordinator(*options) as running:
        stranger = {
            "request": "lava_send",
            "client_name": "x",
            "group_name": "g",
            "group_size": 1,
            "hostname": "h",
            "role": "r",
            "messageID": "m",
        }
        assert bare.ask(running.address, stranger) == {"response": "nack"}
        assert bare.ask(running.address, stranger | {"token": "wrong"}) == {"response": "nack"}
        nack = bare.ask(running.address, stranger | {"token": TOKEN, "request": "nonsense"})
        assert nack == {"response": "nack"}

        friend = member(running.address, "one", group_size=1, token=TOKEN)
        assert friend.group_data(deadline) == {"one": "guest"}

    assert TOKEN not in log.read_text()
    assert "wrong" not in log.read_text().replace("missing or wrong", "")


def test_the_status_shows_groups_members_and_who_waits_for_what(
    capsys: pytest.CaptureFixture[str], start: Start, deadline: Deadline
) -> None:
    with our_coordinator() as running:
        assert "no groups" in status(capsys, running.address)
        one, two = member(running.address, "one"), member(running.address, "two", role="host")
        with one.watch(lambda error: None):
            groups = [start(client.group_data, deadline) for client in (one, two)]
            assert all(group.result() for group in groups)
            wait = start(one.wait_all, "finished", deadline, role="host")
            while "finished" not in (shown := status(capsys, running.address)):
                assert not wait.done()
            told = json.loads(status(capsys, running.address, "--json"))["groups"]["nightly"]
            two.send("finished", {"secret": "value"}, deadline)
            assert wait.result() == {"two": {"secret": "value"}}
            one.clear(deadline)
            two.clear(deadline)

    for text in ("nightly: 2 of 2 members", "one", "guest", "host", "there", "lava_wait_all"):
        assert text in shown
    assert told["members"]["one"]["present"]
    assert [(wait["client"], wait["messageID"]) for wait in told["waits"]] == [("one", "finished")]


def test_the_status_of_nobody_is_status_4(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        port = str(deaf.getsockname()[1])

        assert main(["status", "--host", "127.0.0.1", "--port", port]) == 4

    assert "does not answer" in capsys.readouterr().err


def test_its_options_are_refused_when_wrong() -> None:
    words = [sys.executable, "-m", "lava_vmgroup.cli.coordinator", "--port", "70000"]

    refused = subprocess.run(words, capture_output=True, text=True)

    assert refused.returncode == 2
    assert "expected a number from 0 to 65535" in refused.stderr


def test_coordinator_opens_as_many_files_as_it_may() -> None:
    few, most = 256, resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, most[1]))
    try:
        with our_coordinator() as running:
            soft, hard = resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, most)

    assert hard == most[1]
    assert soft == min(hard, MOST_FILES) > few
