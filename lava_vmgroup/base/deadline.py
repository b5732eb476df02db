# SPDX-License-Identifier: MIT
"""Time limits as values: every blocking call takes a `Deadline`.

A deadline has a name, which the message of a time-out quotes.  It also carries the token that
cancels the work and the factor by which the hardware is slower than usual.  So a blocking call
needs only this one argument for everything that may end it early.
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
    """The awaited event or the work, as it reads after "timed out: "."""
    limit_s: float
    """The length of the limit, for the message."""
    expires_at: float
    """The moment, by `time.monotonic`."""
    token: CancelToken | None = None
    """The token that cancels the work; None if nothing may cancel it, as when cleaning up."""
    scale: float = 1.0
    """The factor that stretches the limits of parts on slow hardware."""

    @classmethod
    def after(
        cls, name: str, limit_s: float, token: CancelToken | None = None, scale: float = 1.0
    ) -> Deadline:
        """Return a deadline `limit_s` seconds from now; `scale` stretches only its parts."""
        return cls(name, limit_s, time.monotonic() + limit_s, token, scale)

    def sub(self, name: str, limit_s: float) -> Deadline:
        """Return a deadline for a part of the work, in `limit_s` seconds times the scale.

        It never expires later than this one.
        """
        return self.exactly(name, limit_s * self.scale)

    def exactly(self, name: str, limit_s: float) -> Deadline:
        """Return a deadline for a part of the work, in `limit_s` seconds that are not stretched.

        It never expires later than this one.  If this one comes first, the part carries both names
        and this one's limit, so that the message names the limit that really passed.
        """
        part = Deadline.after(name, limit_s, self.token, self.scale)
        if part.expires_at <= self.expires_at:
            return part
        return replace(self, name=f"{name}, within {self.name}")

    def beyond(self, name: str, limit_s: float) -> Deadline:
        """Return a deadline for later work, in `limit_s` seconds times the scale.

        It may expire later than this one.
        """
        return Deadline.after(name, limit_s * self.scale, self.token, self.scale)

    def renewed(self) -> Deadline:
        """Return a deadline with the same name and limit that begins now."""
        return Deadline.after(self.name, self.limit_s, self.token, self.scale)

    @property
    def remaining_s(self) -> float:
        """The seconds left, never negative."""
        return max(0.0, self.expires_at - time.monotonic())

    @property
    def step_s(self) -> float:
        """The seconds to wait in one system call: some system calls refuse a limit of a month."""
        return min(self.remaining_s, _LONGEST_STEP_S)

    @property
    def expired(self) -> bool:
        """True if the moment has passed."""
        return time.monotonic() >= self.expires_at

    @property
    def is_over(self) -> bool:
        """True if the moment has passed or the work was canceled, so that no retry makes sense."""
        return self.expired or (self.token is not None and self.token.reason is not None)

    def error(self, last_lines: Sequence[str] = ()) -> DeadlineExpired:
        """Return the error to raise when this deadline has passed.

        The message quotes the last of `last_lines`, the newest lines of a console.
        """
        seen = f"; last seen: {last_lines[-1]!r}" if last_lines else ""
        return DeadlineExpired(
            f"timed out: {self.name}, limit {self.limit_s:g} s{seen}", last_lines=last_lines
        )

    def check(self) -> None:
        """Raise the token's reason if the work was canceled, `DeadlineExpired` if time is up."""
        if self.token is not None:
            self.token.check()
        if self.expired:
            raise self.error()

    def waking(self, wake: Callable[[], None]) -> AbstractContextManager[None]:
        """Call `wake` if the work is canceled within the block; see `CancelToken.waking`."""
        return nullcontext() if self.token is None else self.token.waking(wake)

    @contextmanager
    def ending(self, end: Callable[[], None]) -> Iterator[None]:
        """Call `end` if the work is canceled or the moment passes within the block.

        This ends library calls that take no time limit.  Any thread may call `end`, and `end` may
        be called twice.
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
        """Block for `seconds`, between two looks at something that cannot wake the caller.

        Raises what `check` raises, as soon as the work is canceled or the deadline has passed.
        """
        seconds = min(seconds, self.remaining_s)
        if self.token is None:
            time.sleep(seconds)
        else:
            self.token.wait(seconds)
        self.check()
