# SPDX-License-Identifier: MIT
"""Files brought into a system by typing them on its console: the last resort."""

from __future__ import annotations

import base64
import gzip
import hashlib

from lava_vmgroup.console.shell import Shell
from lava_vmgroup.deadline import Deadline

_FILE = "/lava-typed-archive"
_PIECE = 700
"""Characters a line; busybox's shell takes 1023 at most."""


def unpack_typed(shell: Shell, archive: bytes, deadline: Deadline) -> None:
    """Unpack a tar archive at the root of the system behind `shell`.

    Needs ``base64``, ``gzip``, ``md5sum`` and ``tar`` there; raises `InfrastructureError` when
    what arrived is not what was sent.
    """
    text = base64.b64encode(gzip.compress(archive, mtime=0)).decode()
    shell.check_run(f"rm -f {_FILE}", deadline)
    for start in range(0, len(text), _PIECE):
        shell.check_run(f"echo {text[start : start + _PIECE]} >>{_FILE}", deadline)
    digest = hashlib.md5(archive, usedforsecurity=False).hexdigest()
    shell.check_run(
        f"base64 -d {_FILE} | gzip -d | md5sum | grep -q {digest} && "
        f"base64 -d {_FILE} | gzip -d | tar -xf - -C / && rm {_FILE}",
        deadline,
    )
