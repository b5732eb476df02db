# SPDX-License-Identifier: MIT
"""Time limits as values: every blocking call takes one, and its name is in the message.

A deadline also carries the token that cancels the work it limits, so that one argument tells a
blocking call everything that may end it early, and how much slower than usual the hardware is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.errors import DeadlineExpired

_LONGEST_STEP_S = 86400.0


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the monotonic clock with a name, for waits that must end."""

    name: str
    """What is waited for, as it reads after "timed out: "."""
    limit_s: float
    expires_at: float
    token: CancelToken | None = None
    """Cancels the work; None for work that must not be interrupted, such as cleaning up."""
    scale: float = 1.0
    """Stretches the limits of parts, where the hardware is slow."""

    @classmethod
    def after(
        cls, name: str, limit_s: float, token: CancelToken | None = None, scale: float = 1.0
    ) -> Deadline:
        """A deadline `limit_s` seconds from now; `scale` is for its parts."""
        return cls(name, limit_s, time.monotonic() + limit_s, token, scale)

    def sub(self, name: str, limit_s: float) -> Deadline:
        """A deadline for a part of the work, stretched by the scale, never later than this one."""
        return self.exactly(name, limit_s * self.scale)

    def exactly(self, name: str, limit_s: float) -> Deadline:
        """The same for a limit that the job's author gave: it is not stretched.

        When this one comes first, the part carries both names and this one's limit, so that the
        message blames the limit that really passed.
        """
        part = Deadline.after(name, limit_s, self.token, self.scale)
        if part.expires_at <= self.expires_at:
            return part
        return replace(self, name=f"{name}, within {self.name}")

    def beyond(self, name: str, limit_s: float) -> Deadline:
        """A deadline for what follows this work and may outlast it, stretched by the scale."""
        return Deadline.after(name, limit_s * self.scale, self.token, self.scale)

    def renewed(self) -> Deadline:
        """The same limit from now on."""
        return Deadline.after(self.name, self.limit_s, self.token, self.scale)

    @property
    def remaining_s(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.expires_at - time.monotonic())

    @property
    def step_s(self) -> float:
        """Seconds to wait at once: a system call takes no number that is a month."""
        return min(self.remaining_s, _LONGEST_STEP_S)

    @property
    def expired(self) -> bool:
        """Whether the moment has passed."""
        return time.monotonic() >= self.expires_at

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be tried: the moment has passed, or the work was canceled."""
        return self.expired or (self.token is not None and self.token.reason is not None)

    def error(self, last_lines: Sequence[str] = ()) -> DeadlineExpired:
        """The error to raise when this deadline has passed."""
        seen = f"; last seen: {last_lines[-1]!r}" if last_lines else ""
        return DeadlineExpired(
            f"timed out: {self.name}, limit {self.limit_s:g} s{seen}", last_lines=last_lines
        )

    def check(self) -> None:
        """Raise the token's reason if the work was canceled, `DeadlineExpired` if it is late."""
        if self.token is not None:
            self.token.check()
        if self.expired:
            raise self.error()

    def waking(self, wake: Callable[[], None]) -> AbstractContextManager[None]:
        """Have `wake` called when the work is canceled within the block."""
        return nullcontext() if self.token is None else self.token.waking(wake)

    @contextmanager
    def ending(self, end: Callable[[], None]) -> Iterator[None]:
        """Have `end` called when the work is canceled or late within the block.

        For calls that take no time limit; `end` may be called by any thread, and twice.
        """
        late = threading.Timer(self.step_s, end)
        late.daemon = True
        with self.waking(end):
            late.start()
            try:
                yield
            finally:
                late.cancel()

    def pause(self, seconds: float) -> None:
        """Wait between two tries of something that cannot be waited for otherwise."""
        seconds = min(seconds, self.remaining_s)
        if self.token is None:
            time.sleep(seconds)
        else:
            self.token.wait(seconds)
        self.check()
