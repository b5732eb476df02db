# SPDX-License-Identifier: MIT
"""The questions to a host about its properties, all in one script.

A slow host takes long to start a program, so the script starts few.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.base.shell_programs import sh_command
from lava_vmgroup.connections.link import Link
from lava_vmgroup.vms.accelerator import QEMU_PROGRAMS, HostFacts
from lava_vmgroup.vms.kernel_log import PATTERN, without_stamp
from lava_vmgroup.vms.preflight import FIRMWARE, TOOLS

_ASK_S = 60.0

_VERSION = re.compile(r"(?P<program>.+?)=.*?version (?P<version>[0-9]+(?:\.[0-9]+)*)")


def ask(folder: str, questions: Iterable[str], link: Link, deadline: Deadline) -> HostFacts:
    """Ask the host for its facts, and return them.

    `folder` is the folder for VMs' files; it need not exist yet.  `questions` are words of
    ``requires`` and ``version:PROGRAM``, asked beside the usual ones.  Blocks for 60 s at most, on
    usual hardware.  Raises `InfrastructureError` if the script fails, and the errors of
    `Deadline.check`.
    """
    limit = deadline.sub("looking at the host", _ASK_S)
    firmware = [path for group in FIRMWARE.values() for path in group]
    usual = [
        *(f"qemu:{name}" for name in QEMU_PROGRAMS),
        *(f"file:{path}" for path in firmware),
        *(f"command:{name}" for name in TOOLS),
    ]
    words = dict.fromkeys([*usual, *questions])
    output = link.check_run(sh_command("vms/facts.sh", folder, PATTERN, *words), limit)
    said: defaultdict[str, list[str]] = defaultdict(list)
    for line in output.splitlines():
        key, _, value = line.partition(" ")
        said[key].append(value)

    def number(key: str) -> int | None:
        return next((int(value) for value in said[key] if re.fullmatch("[0-9]{1,15}", value)), None)

    there = frozenset(said["has"])
    free_kib = number("free")
    versions = (_VERSION.match(value) for value in said["version"])
    return HostFacts(
        machine="".join(said["machine"]),
        memory_mib=(number("memory") or 0) // 1024,
        available_mib=(number("available") or 0) // 1024,
        cpus=number("cpus") or 0,
        cpu_flags=frozenset(said["flag"]),
        kvm_exists="kvm-exists" in said,
        kvm_opens="kvm" in said,
        kernel_log=tuple(map(without_stamp, said["log"])),
        kernel_log_opens="log-opens" in said or bool(said["log"]),
        gic=next(iter(said["gic"]), ""),
        free_bytes=None if free_kib is None else free_kib * 1024,
        qemu_programs=frozenset(name for name in QEMU_PROGRAMS if f"qemu:{name}" in there),
        qemu_versions={found["program"]: found["version"] for found in versions if found},
        firmware=frozenset(path for path in firmware if f"file:{path}" in there),
        tools=frozenset(name for name in TOOLS if f"command:{name}" in there),
        there=there,
        sftp=_offers_sftp(link, limit),
    )


def _offers_sftp(link: Link, deadline: Deadline) -> bool:
    """Return whether sshd starts its SFTP server, which may be configured and not installed.

    Raises `InfrastructureError` if the host runs no command either: then the link has failed.
    """
    try:
        link.size_of("/", deadline)
    except InfrastructureError:
        link.check_run(["true"], deadline)
        return False
    return True
