# SPDX-License-Identifier: MIT
"""Definitions of tests as text."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from lava_vmgroup.base.errors import JobError
from lava_vmgroup.testdefs.definition import (
    parse_definition,
)


def minimal(**changes: Any) -> str:
    """A definition of nothing but what is mandatory, with sections replaced (None: removed)."""
    content: dict[str, Any] = {
        "metadata": {"name": "smoke", "format": "1.0", "description": "a test"},
        "run": {"steps": ["true"]},
    }
    content |= changes
    return yaml.safe_dump({key: value for key, value in content.items() if value is not None})


def problems_of(text: str) -> tuple[str, ...]:
    """Return the problems of a definition."""
    with pytest.raises(JobError) as caught:
        parse_definition(text, source="https://lab/x.yaml")
    return caught.value.problems
