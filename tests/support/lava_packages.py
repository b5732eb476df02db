# SPDX-License-Identifier: MIT
"""Debian's packages of LAVA, unpacked by ``make lava-packages``."""

from __future__ import annotations

import os
import platform
from pathlib import Path

DIST_PACKAGES = "usr/lib/python3/dist-packages"


def of_this_system() -> Path:
    """The folder with the packages of this system's own release of Debian."""
    return _of(platform.freedesktop_os_release()["VERSION_CODENAME"])


def newest() -> Path:
    """The folder with Debian's newest packages."""
    return _of("sid")


def _of(suite: str) -> Path:
    cache = os.environ.get("LAVA_VMGROUP_CACHE") or Path.home() / ".cache/lava-vmgroup"
    folder = Path(cache) / "debian" / suite
    assert folder.is_dir(), f"{folder} is missing; run: make lava-packages"
    return folder
