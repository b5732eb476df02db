# SPDX-License-Identifier: MIT
"""Devices of LAVA v2, rendered and judged by LAVA's own code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.support import lava_code, lava_packages
from tests.support.lab import ROOT

EXAMPLE = ROOT / "examples/lava-v2"
DEVICE_TYPES = lava_packages.newest() / "usr/share/lava-server/device-types"
_LIMIT_S = 600.0


class Case(NamedTuple):
    """One test case of a group."""

    test_set: str
    name: str
    result: str
    measurement: float | None
    units: str | None


def recorded(lines: Iterable[Mapping[str, Any]]) -> set[Case]:
    """The group's test cases in the log of a LAVA job."""
    told = [line["msg"] for line in lines if line["lvl"] == "results"]
    return {
        Case(
            one["set"],
            one["case"],
            one["result"],
            one.get("measurement") and float(one["measurement"]),
            one.get("units"),
        )
        for one in told
        if "set" in one
    }


def ours(output: Path) -> set[Case]:
    """The test cases in our own results, which are in this folder."""
    results = json.loads((output / "results.json").read_text())
    return {
        Case(
            f"{node['name']}.{run['name']}",
            case["name"],
            case["result"],
            case["measurement"] and float(case["measurement"]),
            case["units"],
        )
        for node in results["nodes"]
        for run in node["runs"]
        for case in run["cases"]
    }


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
