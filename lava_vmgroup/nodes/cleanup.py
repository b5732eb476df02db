# SPDX-License-Identifier: MIT
"""The time that the steps of the clean-up have."""

from __future__ import annotations

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline

_GRACE_S = 30.0


class Cleanup:
    """The clean-up of one process's nodes; any thread may use it."""

    def __init__(self, scale: float) -> None:
        """Stretch all times by `scale`, for slow hardware."""
        self._scale = scale
        self._grace_s = _GRACE_S
        self._begun = CancelToken()

    @property
    def step_s(self) -> float:
        """Seconds for one step."""
        return self._grace_s * self._scale

    def step(self, name: str) -> Deadline:
        """Return the deadline for one step, which no cancel of the job ends."""
        return Deadline.after(name, self.step_s, self._begun, self._scale)

    def hurry(self, grace_s: float) -> CancelToken:
        """Give the steps less time, before scaling; the token ends those that have begun."""
        self._grace_s = grace_s
        begun, self._begun = self._begun, CancelToken()
        return begun
