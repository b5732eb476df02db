# SPDX-License-Identifier: MIT
import threading

import pytest

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import DeadlineExpired, PeerFailed


def test_part_never_outlives_the_whole_and_blames_it() -> None:
    whole = Deadline.after("the job", 5)

    part = whole.sub("boot", 100)

    assert part.expires_at == whole.expires_at
    assert str(part.error()) == "timed out: boot, within the job, limit 5 s"


def test_shorter_part_has_its_own_name_and_limit() -> None:
    part = Deadline.after("the job", 100).sub("boot", 5)

    assert str(part.error(["U-Boot", "=> "])) == "timed out: boot, limit 5 s; last seen: '=> '"


def test_slow_hardware_stretches_parts_but_not_what_the_author_limits() -> None:
    job = Deadline.after("the job", 100, CancelToken(), scale=4)

    boot = job.sub("boot", 5)
    parts = {
        boot.sub("prompt", 2): 8,
        boot.sub("prompt", 2).renewed(): 8,
        boot.exactly("the author's", 2).sub("within", 0.25): 1,
        job.exactly("the author's", 3): 3,
        boot.sub("longer", 6): 20,
        boot.beyond("afterwards", 50): 200,
    }

    assert (job.limit_s, boot.limit_s) == (100, 20)
    assert {part.limit_s: expected for part, expected in parts.items()} == {
        expected: expected for expected in parts.values()
    }
    assert {(part.scale, part.token) for part in parts} == {(4, job.token)}


def test_expired_deadline_is_raised_by_check() -> None:
    with pytest.raises(DeadlineExpired, match="timed out: now"):
        Deadline.after("now", -1).check()


def test_cancel_ends_a_pause_with_its_reason() -> None:
    token = CancelToken()
    deadline = Deadline.after("a long pause", 3600, token)
    timer = threading.Timer(0.05, token.cancel, [PeerFailed("server died")])
    timer.start()

    with pytest.raises(PeerFailed, match="server died"):
        deadline.pause(3600)
    timer.join()


def test_first_reason_stands_and_wakers_are_called_once() -> None:
    token = CancelToken()
    woken: list[str] = []
    with token.waking(lambda: woken.append("inside")):
        token.cancel(PeerFailed("first"))
        token.cancel(PeerFailed("second"))
    with token.waking(lambda: woken.append("late")):
        pass

    assert str(token.reason) == "first"
    assert woken == ["inside", "late"]


def test_cancel_is_passed_on_to_another_token() -> None:
    parent, child = CancelToken(), CancelToken()
    with parent.also_canceling(child):
        parent.cancel(PeerFailed("gone"))

    assert child.reason is parent.reason
