# SPDX-License-Identifier: MIT
"""Debian packages of another architecture, through a private apt.

The mirror, suites and components are those the machine's own apt uses; state,
cache and package status are private, so nothing of the machine changes and no
root is needed. Packages are only downloaded and unpacked, never configured.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from .errors import BuildError, find_program, run

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
LISTS_MAX_AGE_S = 24 * 3600.0
RETRY_AFTER_FAILURE_S = 3600.0
"""An unreachable mirror is not asked again for this long."""
TRIES = 3
RETRY_PAUSE_S = 2.0
"""Grows with each try: a mirror in mid-sync needs a little time."""
_INSTALLED = re.compile(r"^Inst (\S+) \((\S+) ", re.MULTILINE)
_MERGED = ("bin/", "sbin/", "lib/")

Report = Callable[[str], None]


class _Remembered(TypedDict):
    inputs: str
    check_again_at: float
    versions: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The packages to resolve for one architecture."""

    architecture: str
    packages: tuple[str, ...]
    provided: tuple[str, ...]
    """Names taken as installed already, which cuts their dependencies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Package versions, by name, in a stable order."""

    architecture: str
    versions: dict[str, str]

    def select(self, names: Iterable[str]) -> Resolved:
        """The part with these names."""
        return Resolved(
            architecture=self.architecture, versions={name: self.versions[name] for name in names}
        )

    def kernel(self) -> str:
        """The name of the package that holds the kernel itself."""
        return next(name for name in self.versions if re.match(r"linux-image-\d", name))


def machine_sources() -> str:
    """The machine's Debian package sources, as lines of a sources.list."""
    listed = run(
        [
            "apt-get",
            "indextargets",
            "--format",
            "$(SITE) $(RELEASE) $(COMPONENT)",
            "Created-By: Packages",
            "Origin: Debian",
        ]
    )
    options = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
    lines = [f"deb {options}{line}" for line in dict.fromkeys(listed.splitlines())]
    if not lines:
        raise BuildError("apt knows no Debian mirror; check its sources and run apt-get update")
    return "\n".join(lines) + "\n"


class PrivateApt:
    """One architecture's packages under `folder`, independent of the machine's own state."""

    def __init__(self, folder: Path, wanted: Wanted, report: Report) -> None:
        self.folder = folder
        self.wanted = wanted
        self.report = report
        self.archives = folder / "archives"
        self._resolved_file = folder / "resolved.json"

    def resolve(self) -> Resolved:
        """Current versions; asks the mirror at most once a day, and does without when it fails."""
        known = self._remembered()
        if known is not None and known["check_again_at"] > time.time():
            return Resolved(architecture=self.wanted.architecture, versions=known["versions"])
        self._prepare()
        return self._refresh(tries=1 if known is not None else TRIES)

    def download(self, resolved: Resolved) -> Resolved:
        """Fetches the packages; returns newer versions if the mirror has moved on meanwhile."""
        if all(self.archive_of(name, resolved).exists() for name in resolved.versions):
            return resolved
        self._prepare()
        for attempt in range(1, TRIES + 1):
            try:
                self._apt("install", "--download-only", *self.wanted.packages)
                return resolved
            except BuildError as error:
                if attempt == TRIES:
                    raise
                self.report(f"{error}; trying again")
                time.sleep(RETRY_PAUSE_S * attempt)
                resolved = self._refresh(tries=1)
        raise AssertionError("the last try returns or raises")

    def _refresh(self, tries: int) -> Resolved:
        """Works with whatever lists there are in the end: a mirror may lack one for hours."""
        failure = self._update(tries)
        try:
            versions = self._simulate()
        except BuildError as error:
            raise failure or error from error
        if failure is not None:
            self.report(f"{failure}; going on with the package lists at hand")
        pause_s = LISTS_MAX_AGE_S if failure is None else RETRY_AFTER_FAILURE_S
        self._remember(versions, time.time() + pause_s)
        return Resolved(architecture=self.wanted.architecture, versions=versions)

    def archive_of(self, name: str, resolved: Resolved) -> Path:
        """The path of a package's .deb file, downloaded or not."""
        version = resolved.versions[name].replace(":", "%3a")
        found = sorted(self.archives.glob(f"{name}_{version}_*.deb"))
        return found[0] if found else self.archives / f"{name}_{version}.deb"

    def _inputs(self) -> str:
        parts = [*self.wanted.packages, "/", *self.wanted.provided]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _remembered(self) -> _Remembered | None:
        try:
            known = json.loads(self._resolved_file.read_text())
        except (OSError, ValueError):
            return None
        return known if known.get("inputs") == self._inputs() else None

    def _remember(self, versions: dict[str, str], check_again_at: float) -> None:
        known = {
            "inputs": self._inputs(),
            "check_again_at": check_again_at,
            "versions": versions,
        }
        temporary = self._resolved_file.with_suffix(".new")
        temporary.write_text(json.dumps(known, indent=1, sort_keys=True))
        temporary.replace(self._resolved_file)

    def _prepare(self) -> None:
        for folder in ("lists/partial", "archives/partial", "preferences.d"):
            (self.folder / folder).mkdir(parents=True, exist_ok=True)
        (self.folder / "sources.list").write_text(machine_sources())
        (self.folder / "status").write_text(self._status())
        # The way to the mirror (proxies, time-outs) stays the machine's;
        # its hooks and everything else does not.
        access = run(["apt-config", "dump", "Acquire"])
        (self.folder / "apt.conf").write_text(access + self._configuration())

    def _status(self) -> str:
        provides = ", ".join(f"{name} (= 9999:1)" for name in self.wanted.provided)
        return (
            "Package: image-recipe\nStatus: install ok installed\nArchitecture: all\n"
            "Multi-Arch: foreign\nVersion: 1\nMaintainer: none\n"
            f"Description: what the recipe does itself\nProvides: {provides}\n"
        )

    def _configuration(self) -> str:
        folder = self.folder
        settings = {
            "APT::Architecture": self.wanted.architecture,
            "APT::Architectures": self.wanted.architecture,
            "APT::Install-Recommends": "false",
            "APT::Get::Assume-Yes": "true",
            # The cache may lie in a home folder the download user cannot read.
            "APT::Sandbox::User": "",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "Dir::Cache": folder,
            "Dir::Cache::archives": folder / "archives",
            "Dir::Etc::main": "/dev/null",
            "Dir::Etc::parts": "/dev/null",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": folder / "preferences.d",
            "Dir::Etc::sourcelist": folder / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State": folder,
            "Dir::State::lists": folder / "lists",
            "Dir::State::status": folder / "status",
        }
        return "".join(f'{name} "{value}";\n' for name, value in settings.items())

    def _apt(self, *arguments: str) -> str:
        env = {**os.environ, "APT_CONFIG": str(self.folder / "apt.conf"), "LC_ALL": "C"}
        return run(["apt-get", *arguments], env=env)

    def _update(self, tries: int) -> BuildError | None:
        self.report(f"refreshing the package lists for {self.wanted.architecture}")
        for attempt in range(1, tries + 1):
            try:
                # Without this apt calls a partly failed update a success.
                self._apt("update", "--error-on=any")
                return None
            except BuildError as error:
                failure = error
                if attempt < tries:
                    self.report(f"{error}; trying again")
                    time.sleep(RETRY_PAUSE_S * attempt)
        return failure

    def _simulate(self) -> dict[str, str]:
        printed = self._apt("install", "--simulate", *self.wanted.packages)
        return dict(sorted(_INSTALLED.findall(printed)))


def unpack(
    archive: Path, target: Path, is_excluded: Callable[[str], bool] = lambda _: False
) -> None:
    """Unpacks a .deb into a merged-/usr tree, without the excluded paths."""
    program = find_program("dpkg-deb")
    assert program is not None, "checked at start"
    with (
        subprocess.Popen([program, "--fsys-tarfile", archive], stdout=subprocess.PIPE) as process,
        tarfile.open(fileobj=process.stdout, mode="r|") as stream,
    ):
        for member in stream:
            name = member.name.removeprefix("./")
            if name in ("", ".", *(top[:-1] for top in _MERGED)) or is_excluded(name):
                continue
            member.name = f"usr/{name}" if name.startswith(_MERGED) else name
            if member.islnk():
                linked = member.linkname.removeprefix("./")
                member.linkname = f"usr/{linked}" if linked.startswith(_MERGED) else linked
            # Set-id bits and owners mean nothing in these images.
            member.mode &= 0o755
            member.uid, member.gid = os.geteuid(), os.getegid()
            member.uname = member.gname = ""
            stream.extract(member, target)
    if process.returncode != 0:
        raise BuildError(f"cannot unpack {archive}")


def merge_usr(target: Path) -> None:
    """The links that make /bin, /sbin and /lib part of /usr, as Debian has them."""
    for name in ("bin", "sbin", "lib"):
        (target / "usr" / name).mkdir(parents=True, exist_ok=True)
        (target / name).symlink_to(f"usr/{name}")
