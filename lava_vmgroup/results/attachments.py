# SPDX-License-Identifier: MIT
"""Where the attachments of a node's results are kept below the output directory.

Tests name their attachments, and a test that is not trusted names them as it likes; the files
have names of one harmless part each, in a folder of their run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lava_vmgroup.results.model import Attachment, NodeResult, TestRun

_FOLDER = "attachments"
_HARMFUL = re.compile(r"[^A-Za-z0-9_.+=,@-]+")
_LONGEST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """An attachment and its file's path, relative to the output directory."""

    attachment: Attachment
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedRun:
    """The places of all attachments of one test run."""

    run: TestRun
    attachments: tuple[Placed, ...]
    """The run's own."""
    cases: tuple[tuple[Placed, ...], ...]
    """Those of each test case, in order."""

    def all(self) -> Iterator[Placed]:
        """The run's own and those of its test cases."""
        yield from self.attachments
        for case in self.cases:
            yield from case


def placed_runs(node: NodeResult) -> tuple[PlacedRun, ...]:
    """The places for each of the node's runs, in order; always the same for the same result."""
    folders = _Names()
    return tuple(
        _placed(run, f"{node.name}/{_FOLDER}/{folders.take(run.name)}") for run in node.runs
    )


def _placed(run: TestRun, folder: str) -> PlacedRun:
    names = _Names()

    def place(attachments: Iterable[Attachment], prefix: str = "") -> tuple[Placed, ...]:
        return tuple(
            Placed(attachment=one, path=f"{folder}/{names.take(prefix + one.pathname)}")
            for one in attachments
        )

    return PlacedRun(
        run=run,
        attachments=place(run.attachments),
        cases=tuple(place(case.attachments, f"{case.name}-") for case in run.cases),
    )


class _Names:
    """Gives harmless names, each only once, also where case does not count."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, wish: str) -> str:
        """A name like `wish`."""
        name = _HARMFUL.sub("_", wish).lstrip(".-")[-_LONGEST:].lstrip(".-") or "_"
        candidate, number = name, 1
        while candidate.casefold() in self._taken:
            number += 1
            candidate = f"{number}-{name}"
        self._taken.add(candidate.casefold())
        return candidate
