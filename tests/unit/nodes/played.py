# SPDX-License-Identifier: MIT
"""The coordinator's client of a node, played: its group is there, and it notes its messages."""

from __future__ import annotations

from collections.abc import Mapping

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError

MEMBERS = {"board01": "host", "vm1-job1.1": "guest"}


class PlayedClient:
    """A client that adds its calls to a list."""

    def __init__(self, calls: list[str]) -> None:
        self._calls = calls
        self.closed = set(MEMBERS)
        """The members that answer a wait for all."""
        self.is_there = True

    def with_token(self, _token: object) -> PlayedClient:
        return self

    def group_data(self, _deadline: Deadline) -> Mapping[str, str]:
        return MEMBERS

    def tell_tests(self, _deadline: Deadline, *, ended: bool) -> None:
        """The group may know of the tests."""

    def send(self, message: str, _data: Mapping[str, str], _deadline: Deadline) -> None:
        if not self.is_there:
            raise InfrastructureError("no coordinator")
        self._calls.append(f"send {message}")

    def wait_all(self, message: str, _deadline: Deadline) -> Mapping[str, Mapping[str, str]]:
        self._calls.append(f"wait for {message} of all")
        return {name: {} for name in self.closed}
