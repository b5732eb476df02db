# SPDX-License-Identifier: MIT
"""Members that end without a word: killed programs, and what the others learn of it."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import MultiNodeError, PeerFailed
from lava_vmgroup.multinode.coordinator import Coordinator

if TYPE_CHECKING:
    from tests.integration.multinode.conftest import MakeClient, Start

Programs = list[subprocess.Popen[str]]
BROKE_OFF = "failed: its connection to the coordinator broke off"


@pytest.fixture
def programs(coordinator: Coordinator) -> Iterator[Programs]:
    """Five members of a group, each a program of its own."""
    host, port = coordinator.address
    member = Path(__file__).with_name("member.py")
    with ExitStack() as stack:
        started = []
        for name in ("one", "two", "three", "four", "five"):
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, str(member), host, str(port), "5", name, ""],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.kill)
            started.append(process)
        yield started


def output(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("on\n")
    process.stdin.flush()


def test_a_program_killed_while_the_others_wait_in_a_sync_frees_them_by_its_name(
    programs: Programs,
) -> None:
    *others, victim = programs
    assert [output(process).readline() for process in programs] == ["released\n"] * 5
    for process in others:
        go_on(process)

    victim.kill()

    for process in others:
        assert f"five {BROKE_OFF}" in output(process).readline()
        assert process.wait(60) == 0


def test_a_program_killed_in_a_sync_does_not_count_as_having_come(programs: Programs) -> None:
    late, *others, victim = programs
    assert [output(process).readline() for process in programs] == ["released\n"] * 5
    for process in (*others, victim):
        go_on(process)

    victim.kill()
    for process in others:
        assert f"five {BROKE_OFF}" in output(process).readline()

    go_on(late)
    assert f"five {BROKE_OFF}" in output(late).readline()


def test_who_leaves_in_order_frees_nobody(
    make_client: MakeClient, start: Start, deadline: Deadline
) -> None:
    one, two, three = (make_client(name, group_size=3) for name in ("one", "two", "three"))
    waits = [start(client.group_data, deadline) for client in (one, three)]
    with two.watch(lambda error: None):
        two.group_data(deadline)
        two.clear(deadline)
    assert all(wait.result() for wait in waits)

    wait = start(one.wait, "m", deadline)
    with three.watch(lambda error: None):
        pass
    with pytest.raises(PeerFailed) as caught:
        wait.result()

    assert f"three {BROKE_OFF}" in caught.value.message
    assert "two" not in caught.value.message


def test_the_end_of_the_group_reaches_all_who_watch(
    make_client: MakeClient, start: Start, deadline: Deadline
) -> None:
    host, one, two = (make_client(name, group_size=3) for name in ("host", "one", "two"))
    ends: queue.Queue[tuple[str, PeerFailed]] = queue.Queue()
    with (
        host.watch(lambda error: ends.put(("host", error)), ends_group=True),
        one.watch(lambda error: ends.put(("one", error))),
        two.watch(lambda error: ends.put(("two", error))),
    ):
        waits = [start(client.group_data, deadline) for client in (host, one, two)]
        assert all(wait.result() for wait in waits)
        host.fail("no power", deadline, ends_group=True)

        told = dict(ends.get(timeout=60) for _ in range(2))

        assert told.keys() == {"one", "two"}
        assert all("host failed: no power" in error.message for error in told.values())
        assert one.fail("ended with its host", deadline)
        for client in (host, one, two):
            client.clear(deadline)
    assert ends.empty()


def test_a_coordinator_that_was_started_anew_refuses_those_who_waited(
    make_client: MakeClient, start: Start, deadline: Deadline
) -> None:
    with ExitStack() as stack:
        with Coordinator() as first:
            one, two = (make_client(name, address=first.address) for name in ("one", "two"))
            stack.enter_context(two.watch(lambda error: None))
            groups = [start(client.group_data, deadline) for client in (one, two)]
            assert all(group.result() for group in groups)
            wait = start(one.sync, "m", deadline)

        stack.enter_context(Coordinator(first.address))

        with pytest.raises(MultiNodeError, match="unknown group"):
            wait.result()


def test_another_program_with_the_same_name_is_refused(
    make_client: MakeClient, deadline: Deadline
) -> None:
    make_client("one", group_size=1).group_data(deadline)

    with pytest.raises(MultiNodeError, match="another program speaks for 'one'"):
        make_client("one", group_size=1).group_data(deadline)


def test_presences_end_their_threads(make_client: MakeClient, deadline: Deadline) -> None:
    before = threading.active_count()
    one = make_client("one", group_size=1)
    with one.watch(lambda error: None):
        one.group_data(deadline)
        one.clear(deadline)

    assert threading.active_count() == before
