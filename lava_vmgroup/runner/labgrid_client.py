# SPDX-License-Identifier: MIT
"""``labgrid-client`` in the name of one job, and its words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import DeadlineExpired, InfrastructureError
from lava_vmgroup.connections.program import run_tool

_ANSWER_S = 60.0
"""Seconds for a command that does not wait."""
_HEAD = re.compile(r"^labgrid-client: (Error: )?")
_PLACES = re.compile(r"^Place '(.+)':$", re.MULTILINE)
_HOLDER = re.compile(r"^\s*acquired: (.+)$", re.MULTILINE)
_TAGS = re.compile(r"^\s*tags: (.+)$", re.MULTILINE)
_ALIASES = re.compile(r"^\s*aliases: (.+)$", re.MULTILINE)


class Client:
    """``labgrid-client`` in the name of one job."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        variables = {"PYTHONUNBUFFERED": "1", **environment}
        self.argv = ["env", *(f"{name}={value}" for name, value in variables.items()), *command]

    def ask(self, *words: str, limit: Deadline, answer_s: float | None = None) -> str:
        """Run a command, and return its output.

        Raises `InfrastructureError` with the command's words, and if there is no answer in time.
        """
        own = limit.sub("labgrid's answer", _ANSWER_S if answer_s is None else answer_s)
        try:
            done = run_tool([*self.argv, *words], own)
        except DeadlineExpired as error:
            limit.check()
            raise InfrastructureError(
                f"labgrid gave no answer within {own.limit_s:.0f} s"
            ) from error
        if done.returncode != 0:
            said = (done.stderr or done.stdout).decode(errors="replace").strip()
            last = (said.splitlines() or ["it ended without a word"])[-1]
            raise InfrastructureError(_HEAD.sub("", last))
        return done.stdout.decode(errors="replace")

    def place(self, name: str, limit: Deadline) -> str:
        """Return the name of a place by its name, its alias or a reservation's token.

        labgrid itself would also take a part of a name.
        """
        shown = self.ask("-p", name, "show", limit=limit)
        found = _PLACES.search(shown)
        place = found[1] if found else ""
        aliases = ", ".join(_ALIASES.findall(shown)).split(", ")
        own = {place, *aliases, *(alias.partition(":")[2] for alias in aliases)}
        if not place or not (name in own or name.startswith("+")):
            near = f"; it has {place!r}" if place else ""
            raise InfrastructureError(f"labgrid has no place {name!r}{near}")
        return place

    def holder(self, place: str, limit: Deadline) -> str:
        """Return the host and the user who have acquired the place, or ""."""
        found = _HOLDER.search(self.ask("-p", place, "show", limit=limit))
        if found is None:
            raise InfrastructureError(f"labgrid does not say who has {place}")
        return "" if found[1] == "None" else found[1]

    def tags(self, limit: Deadline) -> list[set[str]]:
        """Return the tags of each place, which include its name."""
        _, *parts = _PLACES.split(self.ask("-v", "places", limit=limit))
        return [
            {f"name={name}", *", ".join(_TAGS.findall(shown)).split(", ")}
            for name, shown in zip(parts[::2], parts[1::2], strict=True)
        ]
