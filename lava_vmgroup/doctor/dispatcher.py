# SPDX-License-Identifier: MIT
"""The checks of the dispatcher: its programs, the host's boot medium, and room for downloads."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lava_vmgroup.base.errors import ConfigurationError, VMGroupError
from lava_vmgroup.base.findings import Finding, Severity, failure
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.connections.program import missing_program
from lava_vmgroup.deploy import media
from lava_vmgroup.job.model import VMGroup
from lava_vmgroup.systems import tools

_SMALL_BYTES = 1 << 30


def look(group: VMGroup, config: DispatcherConfig, host: DeviceConfig) -> list[Finding]:
    """Return a finding for each thing that the job needs of the dispatcher."""
    found = dict.fromkeys(one for node in group.nodes for one in tools.look(node))
    writes = any(
        action.command == "deploy_linaro_image"
        for node in group.nodes
        if node.is_host
        for action in node.actions
    )
    mediums = [medium(host)] if writes and host.media_device is not None else []
    others = [methods(host)] if host.other_methods else []
    consoles = [] if host.driver == "ssh" else [console(host)]
    return [*found, cache(config.lava_cachedir), *mediums, *consoles, *others]


def console(host: DeviceConfig) -> Finding:
    """Look for the program of the host's console; return the finding."""
    if program := missing_program(host.connection_command):
        return Finding(
            what="console",
            severity=Severity.MISSING,
            found=f"{host.place('connection_command')}: there is no program {program!r} here",
            remedy="install it, or correct connection_command",
            exit_status=ConfigurationError.exit_status,
        )
    return Finding(what="console", found=host.connection_command)


def methods(host: DeviceConfig) -> Finding:
    """Return the finding about the boot methods of LAVA v2 that only LAVA can do."""
    names = ", ".join(host.other_methods)
    return Finding(
        what="boot methods",
        found=f"{host.hostname} is used by {host.client_type}; only LAVA can do {names}",
    )


def medium(host: DeviceConfig) -> Finding:
    """Look for the host's boot medium; return the finding.  Runs no command that attaches it."""
    assert host.media_device is not None, "a host without a medium has none to look at"
    name = f"boot medium {host.media_device}"
    try:
        there = media.check(host.media_device)
    except VMGroupError as error:
        return failure(name, error)
    if there:
        return Finding(what=name, found=f"it is {there}")
    if host.media_attach_command:
        return Finding(what=name, found="it is not there before media_attach_command brings it")
    return Finding(
        what=name,
        severity=Severity.MISSING,
        found=f"the boot medium {host.media_device} is not there, or empty",
        remedy="correct media_device, or set media_attach_command to what brings it",
    )


def cache(folder: Path) -> Finding:
    """Look at the room for downloads and unpacked images; return the finding."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not os.access(there, os.W_OK):
        return Finding(
            what="cache",
            severity=Severity.MISSING,
            found=f"{there} cannot be written to",
            remedy="have LAVA_CACHEDIR lead to a folder of this user",
            exit_status=ConfigurationError.exit_status,
        )
    free = shutil.disk_usage(there).free
    words = f"{free >> 20} MiB are free for downloads and unpacked images in {folder}"
    if free < _SMALL_BYTES:
        return Finding(
            what="cache",
            severity=Severity.DEGRADED,
            found=words,
            remedy="make room, or have LAVA_CACHEDIR lead to where more is",
        )
    return Finding(what="cache", found=words)
