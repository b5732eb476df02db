# SPDX-License-Identifier: MIT
"""The paths of the attachments of a node's results below the output directory.

An untrusted test may give its attachments any name.  So each file gets a name of harmless
characters, in a folder for its run.
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
    """The run's own attachments."""
    cases: tuple[tuple[Placed, ...], ...]
    """The attachments of each test case, in order."""

    def all(self) -> Iterator[Placed]:
        """Yield the attachments of the run and of its test cases."""
        yield from self.attachments
        for case in self.cases:
            yield from case


def placed_runs(node: NodeResult) -> tuple[PlacedRun, ...]:
    """Return the paths for each of the node's runs, in order.

    The same result always gives the same paths, so that several writers can name them.
    """
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
    """A source of harmless names, which are unique even on a file system that ignores case."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, wish: str) -> str:
        """Return a name like `wish` that was not returned before."""
        name = _HARMFUL.sub("_", wish).lstrip(".-")[-_LONGEST:].lstrip(".-") or "_"
        candidate, number = name, 1
        while candidate.casefold() in self._taken:
            number += 1
            candidate = f"{number}-{name}"
        self._taken.add(candidate.casefold())
        return candidate
