# SPDX-License-Identifier: MIT
"""Nothing of a job is measured by a clock that may be set."""

from __future__ import annotations

import re
from pathlib import Path

import lava_vmgroup

ROOT = Path(lava_vmgroup.__file__).parent


def test_only_the_clock_asks_the_system_for_the_time_of_day() -> None:
    asking = re.compile(r"datetime\.(?:now|utcnow|today)\(|\btime\.time(?:_ns)?\(")

    found = [str(path) for path in ROOT.rglob("*.py") if asking.search(path.read_text())]

    assert found == [str(ROOT / "base/clock.py")]
