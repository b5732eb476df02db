# SPDX-License-Identifier: MIT
import pytest

from lava_vmgroup.errors import DeadlineExpired, PeerFailed, TestError, VMGroupError, WaitExpired
from lava_vmgroup.results.fold import cause_of

PEER = PeerFailed("the host failed")
WAITED = WaitExpired("timed out: the job, waiting for the host")
BOOT = DeadlineExpired("timed out: the boot loader")
DEATH = TestError("the system went away")


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
