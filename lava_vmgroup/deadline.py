# SPDX-License-Identifier: MIT
"""Time limits as values: every blocking call takes one, and its name is in the message."""

from __future__ import annotations

import time
from dataclasses import dataclass

from lava_vmgroup.errors import DeadlineExpired


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the monotonic clock with a name, for waits that must end."""

    name: str
    """What is waited for, as it reads after "timed out: "."""
    limit_s: float
    expires_at: float

    @classmethod
    def after(cls, name: str, limit_s: float) -> Deadline:
        """A deadline `limit_s` seconds from now."""
        return cls(name, limit_s, time.monotonic() + limit_s)

    def sub(self, name: str, limit_s: float) -> Deadline:
        """A deadline for a part of the work, never later than this one.

        When this one comes first, the part carries both names and this one's limit, so that the
        message blames the limit that really passed.
        """
        part = Deadline.after(name, limit_s)
        if part.expires_at <= self.expires_at:
            return part
        return Deadline(f"{name}, within {self.name}", self.limit_s, self.expires_at)

    @property
    def remaining_s(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.expires_at - time.monotonic())

    @property
    def expired(self) -> bool:
        """Whether the moment has passed."""
        return time.monotonic() >= self.expires_at

    def error(self, last_lines: tuple[str, ...] = ()) -> DeadlineExpired:
        """The error to raise when this deadline has passed."""
        seen = f"; last seen: {last_lines[-1]!r}" if last_lines else ""
        return DeadlineExpired(
            f"timed out: {self.name}, limit {self.limit_s:g} s{seen}", last_lines=last_lines
        )

    def check(self) -> None:
        """Raise `DeadlineExpired` if the moment has passed."""
        if self.expired:
            raise self.error()
