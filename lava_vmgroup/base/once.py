# SPDX-License-Identifier: MIT
"""Work that several threads of a job need and that only one of them does."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import JobError

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

_LOOK_S = 0.2


class Once(Generic[Key, Value]):
    """Values by their keys, each made by the first thread that asks for it.

    A `JobError` is remembered like a value, because a wrong job is wrong for every thread.  After
    any other error the next thread tries again.
    """

    def __init__(self) -> None:
        self._values: dict[Key, Value] = {}
        self._errors: dict[Key, JobError] = {}
        self._locks: defaultdict[Key, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()

    def get(self, key: Key, make: Callable[[], Value], deadline: Deadline) -> Value:
        """Return the value of `key`; call `make` for it if no thread has made it yet.

        Blocks while another thread makes it.  Raises the errors of `make`, the remembered
        `JobError` of an earlier call, and while it blocks the errors of `Deadline.check`.
        """
        with self._lock:
            lock = self._locks[key]
        while not lock.acquire(timeout=_LOOK_S):
            deadline.check()
        try:
            if (error := self._errors.get(key)) is not None:
                # A new object for each node, as an error notes its node and action.
                raise JobError(error.message, problems=error.problems, hint=error.hint)
            if key not in self._values:
                self._values[key] = make()
            return self._values[key]
        except JobError as error:
            self._errors.setdefault(key, error)
            raise
        finally:
            lock.release()
