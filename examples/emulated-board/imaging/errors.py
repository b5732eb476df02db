# SPDX-License-Identifier: MIT
"""The one error the builder reports, and the commands it runs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

DEBIAN_PACKAGE_OF = {
    "apt-get": "apt",
    "debugfs": "e2fsprogs",
    "depmod": "kmod",
    "dpkg-deb": "dpkg",
    "mke2fs": "e2fsprogs",
    "qemu-system-aarch64": "qemu-system-arm",
    "sfdisk": "fdisk",
}
"""The package of each needed program."""

UBOOT = Path("/usr/lib/u-boot/qemu_arm64/u-boot.bin")
"""The board's firmware, from the package u-boot-qemu."""

# mke2fs and its like are outside an ordinary user's PATH.
_ADMIN_PATH = "/usr/local/sbin:/usr/sbin:/sbin"


class BuildError(Exception):
    """Something the user can act on; the text is one line."""


def find_program(name: str) -> str | None:
    """Its path, looked up in the administrator's folders too."""
    return shutil.which(name) or shutil.which(name, path=_ADMIN_PATH)


def check_programs() -> None:
    """Raises BuildError naming every Debian package that is missing."""
    missing = {
        name: package for name, package in DEBIAN_PACKAGE_OF.items() if find_program(name) is None
    }
    if not UBOOT.exists():
        missing[str(UBOOT)] = "u-boot-qemu"
    if missing:
        packages = " ".join(sorted(set(missing.values())))
        raise BuildError(
            f"missing {', '.join(sorted(missing))}; install the Debian package(s): {packages}"
        )


def run(
    argv: Sequence[str | Path],
    *,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Runs a program to its end and returns its output; raises BuildError with its last words."""
    program = find_program(str(argv[0]))
    if program is None:
        raise BuildError(f"{argv[0]} is not installed")
    done = subprocess.run(
        [program, *map(str, argv[1:])],
        input=stdin,
        env=env,
        cwd=cwd,
        text=True,
        errors="replace",
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()
        errors = [line for line in words if line.startswith("E:")] or words[-1:] or ["no output"]
        raise BuildError(f"{argv[0]} failed with status {done.returncode}: {errors[-1]}")
    return done.stdout
