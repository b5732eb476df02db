# SPDX-License-Identifier: MIT
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from lava_vmgroup.base.errors import (
    Canceled,
    ConfigurationError,
    DeadlineExpired,
    InfrastructureError,
    JobError,
    MultiNodeError,
    PeerFailed,
    TestError,
    VMGroupError,
    WaitExpired,
)
from lava_vmgroup.results.fold import canceled_itself, cause_of, exit_status_of, sub_job_status
from lava_vmgroup.results.model import (
    ActionResult,
    JobResult,
    NodeResult,
    NodeState,
    Outcome,
    TestCase,
)

PEER = PeerFailed("the host failed")
WAITED = WaitExpired("timed out: the job, waiting for the host")
BOOT = DeadlineExpired("timed out: the boot loader")
DEATH = TestError("the system went away")
SIGTERM = Canceled("canceled by SIGTERM", signal_number=15)


@pytest.mark.parametrize(
    ("errors", "cause"),
    [
        ([], None),
        ([WAITED, BOOT], BOOT),
        ([PEER, BOOT], BOOT),
        ([DEATH, BOOT], DEATH),
        ([PEER, WAITED], WAITED),
        ([PEER], PEER),
    ],
)
def test_cause_comes_before_what_follows_from_it(
    errors: list[VMGroupError], cause: VMGroupError | None
) -> None:
    assert cause_of(errors) is cause


@pytest.mark.parametrize(
    ("cause", "status"),
    [
        (None, 0),
        (JobError("no"), 2),
        (ConfigurationError("no"), 3),
        (InfrastructureError("no"), 4),
        (BOOT, 5),
        (MultiNodeError("no"), 6),
        (DEATH, 7),
        (SIGTERM, 143),
        (Canceled("canceled by SIGINT", signal_number=2), 130),
    ],
)
def test_exit_status_is_the_causes(
    cause: VMGroupError | None, status: int, host: NodeResult
) -> None:
    assert exit_status_of(cause, [replace(host, runs=())]) == status


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ((Outcome.PASS, Outcome.FAIL), 1),
        ((Outcome.PASS, Outcome.SKIP, Outcome.UNKNOWN), 0),
    ],
)
def test_failed_test_of_any_node_is_the_exit_status_without_a_cause(
    outcomes: tuple[Outcome, ...], status: int, host: NodeResult, vm: NodeResult
) -> None:
    now = datetime.now(UTC)
    cases = tuple(TestCase(name="t", outcome=one, recorded_at=now) for one in outcomes)
    (run,) = host.runs
    nodes = [replace(host, runs=()), replace(vm, runs=(replace(run, cases=cases),))]

    assert exit_status_of(None, nodes) == status
    assert exit_status_of(DEATH, nodes) == 7


@pytest.fixture
def ended_with_a_peer(host: NodeResult) -> NodeResult:
    """A node whose last action ended with a canceled peer, and an earlier one by itself."""
    followed = PeerFailed("vm1 was canceled", canceled=True).at(
        node="board01", action="lava_test_shell"
    )
    first, last = host.actions
    actions: tuple[ActionResult, ...] = (replace(first, error=BOOT), replace(last, error=followed))
    return replace(host, error=followed, actions=actions)


def test_node_that_heard_of_its_own_cancel_from_a_peer_is_canceled(
    ended_with_a_peer: NodeResult,
) -> None:
    node = canceled_itself(ended_with_a_peer, SIGTERM)

    assert isinstance(node.error, Canceled)
    assert node.state is NodeState.CANCELED
    assert (node.error.message, node.error.status) == ("canceled by SIGTERM", 143)
    assert (node.error.node, node.error.action) == ("board01", "lava_test_shell")
    assert [action.error for action in node.actions] == [BOOT, node.error]
    assert exit_status_of(node.error, [node]) == 143


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PeerFailed("vm1 was canceled", canceled=True), None),
        (PeerFailed("vm1 failed"), SIGTERM),
        (DEATH, SIGTERM),
        (None, SIGTERM),
    ],
    ids=["this job was not canceled", "the peer was not", "own failure", "no failure"],
)
def test_node_that_ended_for_another_reason_keeps_it(
    error: VMGroupError | None, reason: Canceled | None, ended_with_a_peer: NodeResult
) -> None:
    node = replace(ended_with_a_peer, error=error)

    assert canceled_itself(node, reason) is node


@pytest.mark.parametrize(
    ("errors", "cause", "status"),
    [
        ((None, None), None, 0),
        ((BOOT, None), BOOT, 5),
        ((None, DEATH), DEATH, 0),
        ((PEER, DEATH), DEATH, 6),
        ((None, None), InfrastructureError("the files cannot be fetched"), 4),
    ],
    ids=["nobody failed", "it failed", "another failed", "it ended with another", "none of them"],
)
def test_sub_job_exits_with_what_became_of_itself(
    errors: tuple[VMGroupError | None, ...],
    cause: VMGroupError | None,
    status: int,
    job_result: JobResult,
) -> None:
    own, other = (
        replace(node, error=error) for node, error in zip(job_result.nodes, errors, strict=True)
    )
    result = replace(job_result, nodes=(own, other), cause=cause)

    assert sub_job_status(result, own.sub_id) == status


def test_sub_job_whose_tests_failed_is_complete(job_result: JobResult, host: NodeResult) -> None:
    (run,) = host.runs
    assert any(case.outcome is Outcome.FAIL for case in run.cases)
    result = replace(job_result, nodes=(replace(host, error=None),), cause=None)

    assert sub_job_status(result, host.sub_id) == 0
