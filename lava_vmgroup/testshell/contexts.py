# SPDX-License-Identifier: MIT
"""A node's hardware and software, in the words of LAVA's bundles."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lava_vmgroup.results.model import HardwareDevice

_PACKAGE = re.compile(r"package: (\S+) : (\S.*)")
_TOTAL = re.compile(r"^MemTotal:[ \t]+(\d{1,15}) kB", re.MULTILINE)


def hardware(cpuinfo: str, meminfo: str, board: str) -> Iterator[HardwareDevice]:
    """Yield the processors, the board and the memory, as far as the node's files name them.

    `cpuinfo` and `meminfo` are the files of ``/proc``; `board` is the board's name, or empty.
    """
    sections = [_fields(section) for section in re.split(r"\n\s*\n", cpuinfo)]
    processors = [fields for fields in sections if fields.get("processor", "").isdigit()]
    for fields in processors:
        yield HardwareDevice(
            device_type="device.cpu",
            description=f"Processor #{fields['processor']}",
            attributes=fields,
        )
    # 32-bit ARM also describes its board in /proc/cpuinfo.
    rest = [fields for fields in sections if "Hardware" in fields and fields not in processors]
    description = board.strip() or (rest[0]["Hardware"] if rest else "")
    if description:
        yield HardwareDevice(
            device_type="device.board",
            description=description,
            attributes=rest[0] if rest else {},
        )
    if total := _TOTAL.search(meminfo):
        yield HardwareDevice(
            device_type="device.mem",
            description=f"{int(total[1]) // 1024} MiB of RAM",
            attributes=_fields(meminfo),
        )


def packages(text: str) -> tuple[tuple[str, str], ...]:
    """Return name and version of each package in the output of lava-installed-packages."""
    matches = (_PACKAGE.match(line.rstrip()) for line in text.splitlines())
    return tuple((match[1], match[2]) for match in matches if match)


def _fields(text: str) -> dict[str, str]:
    lines = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, colon, value in lines if colon and name.strip()}
