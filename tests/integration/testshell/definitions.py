# SPDX-License-Identifier: MIT
"""Definitions of tests as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    pass


def definition(name: str, *steps: str, install: tuple[str, ...] = ()) -> str:
    """The YAML of a test."""
    content: dict[str, object] = {
        "metadata": {"name": name, "format": "1.0", "description": ""},
        "run": {"steps": list(steps)},
    }
    if install:
        content["install"] = {"steps": list(install)}
    return yaml.safe_dump(content)
