# SPDX-License-Identifier: MIT
"""A heartbeat says once, and rightly, why the host is out of reach."""

import queue
from collections.abc import Callable
from typing import cast

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, LinkLost, VMGroupError
from lava_vmgroup.connections.link import LineChannel
from lava_vmgroup.vms.heartbeat import Heartbeat

PATIENCE_S = 3.0
LIMIT_S = 30.0


class Host:
    """The host's end of the heartbeat."""

    is_closed = False

    def __init__(self, answer: Callable[[Deadline], str]) -> None:
        self._answer = answer
        self.asked: queue.Queue[str] = queue.Queue()

    def ask(self, question: str, deadline: Deadline) -> str:
        self.asked.put(question)
        return self._answer(deadline)

    def close(self) -> None:
        self.is_closed = True


def has_ended(_: Deadline) -> str:
    return "ended"


def breaks(_: Deadline) -> str:
    raise InfrastructureError("the command on the host has ended")


def breaks_off(_: Deadline) -> str:
    raise LinkLost("the connection broke off")


def never_again(deadline: Deadline) -> LineChannel:
    raise deadline.error()


def is_silent(deadline: Deadline) -> str:
    raise deadline.error()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (has_ended, "supervisor has ended this node: it heard nothing from here for too long"),
        (breaks, "the connection to the host has ended: the command on the host has ended"),
        (breaks_off, "has ended: the connection broke off, and did not come back"),
        (is_silent, "the host has not answered for 3 s"),
    ],
)
def test_loss_of_the_host_is_explained(answer: Callable[[Deadline], str], reason: str) -> None:
    host = Host(answer)
    losses: queue.Queue[VMGroupError] = queue.Queue()

    heartbeat = Heartbeat(cast(LineChannel, host), never_again, PATIENCE_S, losses.put)
    loss = losses.get(timeout=LIMIT_S)
    heartbeat.stop()

    assert reason in loss.message
    assert loss.exit_status == 4
    assert losses.empty()
    assert host.is_closed


def test_vm_that_leaves_says_so_and_its_host_is_not_lost() -> None:
    host = Host(lambda _: "alive")
    losses: queue.Queue[VMGroupError] = queue.Queue()

    heartbeat = Heartbeat(cast(LineChannel, host), never_again, PATIENCE_S, losses.put)
    assert host.asked.get(timeout=LIMIT_S) == "beat"
    heartbeat.stop(leaving=True)

    *_, last = iter(host.asked.queue)
    assert last == "bye"
    assert losses.empty()


def test_heartbeat_goes_on_over_another_connection() -> None:
    broken, working = Host(breaks_off), Host(lambda _: "alive")
    losses: queue.Queue[VMGroupError] = queue.Queue()

    heartbeat = Heartbeat(
        cast(LineChannel, broken), lambda _: cast(LineChannel, working), PATIENCE_S, losses.put
    )
    asked = [working.asked.get(timeout=LIMIT_S) for _ in range(2)]
    heartbeat.stop()

    assert asked == ["beat", "beat"]
    assert broken.is_closed
    assert losses.empty()
