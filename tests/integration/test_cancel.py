# SPDX-License-Identifier: MIT
"""Whole jobs that are canceled in each phase: what they have is kept, and nothing is left."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_left_behind import STUBBORN
from tests.integration.test_whole_jobs import ABSENT, HEAD, MEETING, job, says
from tests.support.lab import Ended, Lab, coordinator, follow
from tests.support.leftovers import jobs_on_host, traces
from tests.support.local_lab import LAUNCH, entry, local_lab, shell_action, write_job
from tests.support.processes import said, until
from tests.support.relay import Relay, relay
from tests.support.sshd import Server

DONE_THEN_SYNC = f"{HEAD}run: {{steps: [lava-test-case done --result pass, lava-sync together]}}\n"
IMAGE_MIB = 48
_BYTES = 300
"""Most bytes of a line that are quoted."""

Event = Mapping[str, Any]


@pytest.fixture
def network(sshd: Server) -> Iterator[Relay]:
    with relay(sshd.address.port) as made:
        yield made


@pytest.fixture
def lab(tmp_path: Path, sshd: Server, network: Relay) -> Iterator[Lab]:
    with local_lab(tmp_path, sshd, ssh_port=network.port) as made:
        yield made


@dataclass(kw_only=True)
class Slow:
    """A server whose answer does not come to an end, though it says a byte now and then."""

    port: int
    asked: threading.Event = field(default_factory=threading.Event)
    left_alone: threading.Event = field(default_factory=threading.Event)
    """Set when the client has gone first."""


@contextmanager
def slow_server(beginning: bytes) -> Iterator[Slow]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        slow = Slow(port=listener.getsockname()[1])

        def serve() -> None:
            with suppress(OSError), listener.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(beginning)
                slow.asked.set()
                connection.settimeout(0.2)
                for _ in range(_BYTES):
                    connection.sendall(b"x")
                    with suppress(TimeoutError):
                        if not connection.recv(1):
                            slow.left_alone.set()
                            return

        thread = threading.Thread(target=serve)
        thread.start()
        yield slow
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def canceled(
    lab: Lab,
    document: Mapping[str, Any],
    phase: Callable[[Event], bool],
    number: signal.Signals,
    before: Callable[[], object] = lambda: None,
) -> Ended:
    """Cancel a job in a phase, once `before` has been done."""
    path = write_job(lab, document, meeting=MEETING, done=DONE_THEN_SYNC, absent=ABSENT)
    process = lab.start(path)
    events = follow(lab.folder / "results/events.jsonl", process)
    assert any(phase(event) for event in events), said(process)
    before()
    process.send_signal(number)
    ended = lab.finish(process)
    assert ended.status == 128 + number, ended.stderr
    assert {node["state"] for node in ended.results["nodes"]} == {"Canceled"}
    assert f"canceled by {number.name}; cleaning up" in ended.stderr
    assert lab.processes() == []
    return ended


def test_host_that_does_not_answer_holds_no_cancel_up(tmp_path: Path, sshd: Server) -> None:
    with slow_server(b"") as slow, local_lab(tmp_path, sshd, ssh_port=slow.port) as lab:
        canceled(
            lab,
            job(entry("guest"), actions=[shell_action("meeting.yaml", "guest")]),
            lambda event: event.get("state") == "connecting",
            signal.SIGINT,
            before=lambda: slow.asked.wait(60),
        )

        assert slow.left_alone.is_set()


def test_server_that_does_not_end_its_answer_holds_no_cancel_up(lab: Lab, sshd: Server) -> None:
    with slow_server(b"HTTP/1.1 200 OK\r\nX-Long: ") as slow:
        actions = [shell_action(f"http://127.0.0.1:{slow.port}/t.yaml", "guest")]
        canceled(
            lab,
            job(entry("guest"), actions=actions),
            lambda event: True,
            signal.SIGTERM,
            before=lambda: slow.asked.wait(60),
        )

        assert slow.left_alone.is_set()
    assert traces(lab, sshd) == []


def test_unfinished_upload_goes_with_the_job(lab: Lab, sshd: Server, network: Relay) -> None:
    (lab.folder / "disk.img").write_bytes(os.urandom(1 << 20) * IMAGE_MIB)
    image = {"image": str(lab.folder / "disk.img"), "role": "guest"}
    deploy = {"command": "deploy_linaro_image", "parameters": image}

    def stop() -> None:
        # The link has to be free for the clean-up.
        threading.Timer(0.5, network.thaw).start()
        network.freeze()

    canceled(
        lab,
        job(entry("guest"), actions=[deploy, shell_action("meeting.yaml", "guest")]),
        lambda event: event["kind"] == "progress" and event["done"] < event["total"],
        signal.SIGINT,
        stop,
    )

    assert list((lab.folder / "vms").rglob("*.part*")) == []
    assert list((lab.folder / "vms/sha256").glob("*")) == []
    assert traces(lab, sshd) == []


def test_results_so_far_are_kept_when_others_are_waited_for(lab: Lab, sshd: Server) -> None:
    ended = canceled(
        lab,
        job(
            entry("guest"),
            actions=[shell_action("done.yaml", "guest"), shell_action("absent.yaml", "host")],
        ),
        lambda event: says("lava-sync", event),
        signal.SIGHUP,
    )

    (cases,) = (
        [(case["name"], case["result"]) for case in run["cases"]]
        for node in ended.results["nodes"]
        if node["role"] == "guest"
        for run in node["runs"]
    )
    assert cases[0] == ("done", "pass")
    assert traces(lab, sshd) == []


def test_second_signal_in_the_midst_of_the_clean_up_leaves_nothing_either(
    lab: Lab, sshd: Server
) -> None:
    stubborn = entry("guest", launch_with=[STUBBORN, LAUNCH])
    document = job(stubborn, actions=[shell_action("absent.yaml", "guest")])
    process = lab.start(write_job(lab, document, absent=ABSENT))
    events = follow(lab.folder / "results/events.jsonl", process)
    assert any(says("lava-wait", event) for event in events)
    process.send_signal(signal.SIGINT)
    assert any(event["kind"] == "error" for event in events)
    process.send_signal(signal.SIGINT)

    ended = lab.finish(process)

    assert ended.status == 130, ended.stderr
    assert {node["state"] for node in ended.results["nodes"]} == {"Canceled"}
    until(lambda: not jobs_on_host(lab))
    assert traces(lab, sshd) == []


@pytest.mark.parametrize("victim", ["0", "1"])
def test_peers_of_other_processes_learn_of_it(lab: Lab, sshd: Server, victim: str) -> None:
    document = job(
        entry("guest"),
        entry("friend"),
        actions=[
            shell_action("meeting.yaml", "guest"),
            shell_action("meeting.yaml", "friend"),
            shell_action("absent.yaml", "host"),
        ],
    )
    path = write_job(lab, document, meeting=MEETING, absent=ABSENT)
    with coordinator(lab.folder) as port:
        started = lab.start_sub_jobs(path, port)
        for number, process in started.items():
            word = "lava-wait" if number == "0" else "lava-sync"
            events = follow(lab.folder / f"results-{number}/events.jsonl", process)
            assert any(says(word, event) for event in events), said(process)
        started[victim].send_signal(signal.SIGINT)
        ended = {number: lab.finish(one, f"results-{number}") for number, one in started.items()}

    statuses = {number: one.status for number, one in ended.items()}
    assert statuses == {number: 130 if number == victim else 6 for number in started}, statuses
    for number, one in ended.items():
        own = one.results["nodes"][0]
        expected = "Canceled" if number == victim else "PeerFailed"
        assert own["error"]["class"] == expected
        assert "canceled by SIGINT" in own["error"]["message"]
    assert traces(lab, sshd) == []
