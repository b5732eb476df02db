# SPDX-License-Identifier: MIT
"""The places to which the run of a group writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


def _unheard(_line: str) -> None:
    """Take a line that nobody asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """The places to which the run of a group writes."""

    folder: Path
    """The output directory."""
    announce: Callable[[str], None] = _unheard
    """Takes each line for LAVA's scheduler."""
    console_copy: Callable[[bytes], None] | None = None
    """Takes the bytes that the consoles print."""
