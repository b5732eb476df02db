# SPDX-License-Identifier: MIT
"""Devices of LAVA v2, rendered and judged by LAVA's own code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support import lava_code, lava_packages
from tests.support.lab import ROOT

EXAMPLE = ROOT / "examples/lava-v2"
DEVICE_TYPES = lava_packages.newest() / "usr/share/lava-server/device-types"
_LIMIT_S = 600.0


def device(device_type: str, **values: Any) -> str:
    """A device of LAVA's with these values, in Jinja."""
    lines = [f"{{% set {name} = {value!r} %}}" for name, value in values.items()]
    return "\n".join([f"{{% extends '{device_type}.jinja2' %}}", *lines])


def render(devices: Mapping[Path, str]) -> None:
    """Write the dictionary of each device to its file."""
    texts = {str(path): text for path, text in devices.items()}
    asked({"devices": texts, "templates": [str(EXAMPLE), str(DEVICE_TYPES)]})


def asked(question: Mapping[str, Any], release: Path | None = None) -> Any:
    """The answer of the code of a release of LAVA, by default the newest one; see `lava_code`."""
    packages = release or lava_packages.newest()
    ran = subprocess.run(
        [sys.executable, lava_code.__file__],
        input=json.dumps(question),
        env={**os.environ, "PYTHONPATH": str(packages / lava_packages.DIST_PACKAGES)},
        text=True,
        capture_output=True,
        timeout=_LIMIT_S,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout or "null")
