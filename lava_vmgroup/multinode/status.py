# SPDX-License-Identifier: MIT
"""The state of a coordinator's groups: asked for over its socket, and shown as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, MultiNodeError
from lava_vmgroup.config.coordinator import Endpoint
from lava_vmgroup.multinode.exchange import exchanging
from lava_vmgroup.multinode.frames import FrameError, encode_frame
from lava_vmgroup.multinode.standstill import parse_lines
from lava_vmgroup.multinode.wire import Response, Verb
from lava_vmgroup.results.printable import one_line

Status = Mapping[str, Mapping[str, Any]]
"""The state of each group by its name; docs/coordinator.rst describes the keys."""

_STYLES = {"failed": "red", "left": "dim", "there": "green"}


def ask_status(endpoint: Endpoint, deadline: Deadline) -> Status:
    """Ask the coordinator at `endpoint` for the state of its groups; blocks until the answer.

    Raises `InfrastructureError` if it does not answer, `MultiNodeError` if it refuses or its
    answer has another form, and the deadline's error.
    """
    place = f"the coordinator at {endpoint.host}:{endpoint.port}"
    secret = {} if endpoint.token is None else {"token": endpoint.token}
    frame = encode_frame({"request": Verb.STATUS.value, "hold": True, **secret})
    address = (endpoint.host, endpoint.port)
    try:
        with exchanging(address, deadline.token or CancelToken(), deadline) as exchange:
            reply = exchange.ask(frame)
    except (OSError, FrameError) as error:
        raise InfrastructureError(
            f"{place} does not answer: {error}", hint="check that it runs, and its address"
        ) from error
    if reply.response is not Response.ACK or not isinstance(reply.message, dict):
        raise MultiNodeError(
            f"{place} does not tell its status: {reply.reason or 'it does not know how'}",
            hint="LAVA's own coordinator has none",
        )
    try:
        return _checked(reply.message["groups"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MultiNodeError(
            f"{place} tells a status that makes no sense: {type(error).__name__}: {error}"
        ) from error


def _checked(groups: Any) -> Status:
    """Return `groups` if every value that is shown has its type; else raise a built-in error."""
    for group in groups.values():
        parse_lines(group["lines"])
        numbers = [group["size"], group["age_s"], *(wait["for_s"] for wait in group["waits"])]
        if not all(isinstance(number, int | float) for number in numbers):
            raise TypeError("a number is none")
        for wait in group["waits"]:
            _check_texts(wait, "client", "request", "messageID", "waitrole")
        for facts in group["members"].values():
            _check_texts(facts, "role", "hostname", "failed")
            facts["cleared"], facts["present"]
    checked: Status = groups
    return checked


def _check_texts(facts: Any, *names: str) -> None:
    for name in names:
        if not isinstance(facts[name], str | None):
            raise TypeError(f"{name} is no text")


def render_status(groups: Status) -> RenderableType:
    """Return tables for people: the members of every group, and their waits for each other."""
    if not groups:
        return Text("no groups")
    return Lines(*(part for name, group in groups.items() for part in _render(name, group)))


def _render(name: str, group: Mapping[str, Any]) -> list[RenderableType]:
    members = group["members"]
    title = f"{one_line(name)}: {len(members)} of {group['size']} members, {group['age_s']:.0f} s"
    table = Table(title=Text(title, "bold"), title_justify="left")
    for heading in ("member", "role", "machine", "state", "waits for", "since"):
        table.add_column(heading, overflow="fold")
    for member, facts in members.items():
        state = _state(facts)
        waits = [wait for wait in group["waits"] if wait["client"] == member]
        table.add_row(
            Text(one_line(member)),
            Text(one_line(facts["role"] or "")),
            Text(one_line(facts["hostname"] or "")),
            Text(one_line(state), _STYLES.get(state.partition(":")[0], "")),
            Text("\n".join(one_line(_awaited(wait)) for wait in waits)),
            Text("\n".join(f"{wait['for_s']:.0f} s" for wait in waits)),
        )
    return [table, *(Text(one_line(line)) for line in group["lines"])]


def _state(facts: Mapping[str, Any]) -> str:
    if facts["failed"] is not None:
        return f"failed: {facts['failed']}"
    if facts["cleared"]:
        return "left"
    return "there" if facts["present"] else "known"


def _awaited(wait: Mapping[str, Any]) -> str:
    words = (wait["request"], wait["messageID"], wait["waitrole"])
    return " ".join(word for word in words if word)
