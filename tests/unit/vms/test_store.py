# SPDX-License-Identifier: MIT
"""Only numbers are accepted as sizes from a host's image store."""

from typing import cast

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.connections.link import CommandResult, Link
from lava_vmgroup.vms.store import ImageStore


class Host:
    """Answers every command with the same words."""

    def __init__(self, status: int, output: str) -> None:
        self.answer = CommandResult(status, output)

    def run_again(self, *_: object) -> CommandResult:
        return self.answer


@pytest.mark.parametrize(
    ("status", "output", "message"),
    [
        (0, "", "tells no sizes: ''"),
        (0, "many\n", "tells no sizes: 'many"),
        (0, "1 2\n", "tells no sizes"),
        (0, f"{'9' * 5000}\n", "tells no sizes"),
        (1, "", "image store fails: status 1"),
        (1, "a\nsh: not found\n", "image store fails: sh: not found"),
    ],
)
def test_answer_that_is_no_size_is_the_hosts_fault(status: int, output: str, message: str) -> None:
    link = cast("Link", Host(status, output))

    with pytest.raises(InfrastructureError, match=message):
        ImageStore("/vms", "job").room(1, link, Deadline.after("the test", 60.0))


def test_room_is_what_is_free_and_what_may_go() -> None:
    link = cast("Link", Host(0, "3\n"))
    store = ImageStore("/vms", "job")

    assert store.room(1000, link, Deadline.after("the test", 60.0)) == 1000 + 3 * 1024
    assert store.room(None, link, Deadline.after("the test", 60.0)) is None
