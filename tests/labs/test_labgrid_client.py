# SPDX-License-Identifier: MIT
"""labgrid's own client and its stand-in in quick tests answer in the same way."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.connections.program import ProgramOutput
from lava_vmgroup.runner.labgrid_client import Client
from tests.labs.labgrid_lab import coordinator
from tests.support import labgrid_client

Named = Callable[[str], Client]
NAMES = ("board01", "board02")


@pytest.fixture(params=["labgrid", "stand-in"])
def named(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Named]:
    """A function that makes the client of a user."""
    if request.param == "labgrid":
        with coordinator(tmp_path / "coordinator", *NAMES) as labgrid:
            yield client_of(labgrid.client)
        return
    state = tmp_path / "state.json"
    places = {name: {"tags": ["board=emulated"], "acquired": None} for name in NAMES}
    state.write_text(json.dumps({"places": places, "reservations": []}))
    yield client_of(f"{sys.executable} {labgrid_client.__file__} {state}")


def client_of(command: str) -> Named:
    return lambda user: Client(command.split(), {"LG_HOSTNAME": "desk", "LG_USERNAME": user})


@pytest.fixture
def limit() -> Deadline:
    return Deadline.after("labgrid's answer", 60)


def test_places_have_names_tags_and_holders(named: Named, limit: Deadline) -> None:
    alice = named("alice")

    assert alice.place("board01", limit) == "board01"
    assert alice.tags(limit) == [{f"name={name}", "board=emulated"} for name in NAMES]
    assert alice.holder("board01", limit) == ""
    alice.ask("-p", "board01", "acquire", limit=limit)
    assert alice.holder("board01", limit) == "desk/alice"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["-p", "board09", "show"], "place pattern board09 matches nothing"),
        (["-p", "+TOKEN", "show"], "reservation token TOKEN matches nothing"),
        (["-p", "board01", "acquire"], "Place board01 is already acquired by desk/bob"),
    ],
)
def test_refusals_have_reasons(
    named: Named, limit: Deadline, words: list[str], reason: str
) -> None:
    named("bob").ask("-p", "board01", "acquire", limit=limit)

    with pytest.raises(InfrastructureError, match=f"^{reason.replace('+', '.')}"):
        named("alice").ask(*words, limit=limit)


def test_reservation_gets_a_place_that_is_free(named: Named, limit: Deadline) -> None:
    alice, bob = named("alice"), named("bob")
    bob.ask("-p", "board01", "acquire", limit=limit)
    answer = alice.ask("reserve", "--shell", "board=emulated", limit=limit)

    [before, token] = answer.strip().split("=")
    assert before == "export LG_TOKEN"
    alice.ask("wait", token, limit=limit)
    assert alice.place(f"+{token}", limit) == "board02"
    with pytest.raises(InfrastructureError):
        bob.ask("-p", "board02", "acquire", limit=limit)
    alice.ask("-p", "board02", "acquire", limit=limit)
    alice.ask("cancel-reservation", token, limit=limit)
    assert alice.holder("board02", limit) == "desk/alice"


def test_place_is_released_from_its_holder_only(named: Named, limit: Deadline) -> None:
    alice = named("alice")
    alice.ask("-p", "board01", "acquire", limit=limit)

    alice.ask("-p", "board01", "release-from", "desk/bob", limit=limit)
    assert alice.holder("board01", limit) == "desk/alice"
    alice.ask("-p", "board01", "release-from", "desk/alice", limit=limit)
    assert alice.holder("board01", limit) == ""


def test_monitor_tells_a_change_of_the_place(named: Named, limit: Deadline) -> None:
    alice = named("alice")
    alice.ask("-p", "board01", "acquire", limit=limit)

    with ProgramOutput([*alice.argv, "monitor"], limit) as monitor:
        lines = io.BufferedReader(monitor)
        # The monitor may begin after the first of these.
        while alice.holder("board01", limit):
            named("bob").ask("-p", "board01", "release", "--kick", limit=limit)
            named("bob").ask("-p", "board01", "acquire", limit=limit)
            named("bob").ask("-p", "board01", "release", limit=limit)
        assert next(line for line in lines if b"board01" in line).startswith(b"Place board01 ")
