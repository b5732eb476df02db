# SPDX-License-Identifier: MIT
"""Reads the files of tests from a tar of their node's results folder.

The tar comes from the system under test and may hold anything.  So it is read in memory, member by
member, and nothing is unpacked.
"""

from __future__ import annotations

import io
import mimetypes
import os
import posixpath
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lava_vmgroup.base import tars
from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.base.undecodable import decoded
from lava_vmgroup.results.model import Attachment, HardwareDevice
from lava_vmgroup.testdefs.definition import parse_extra_metadata
from lava_vmgroup.testshell import contexts
from lava_vmgroup.testshell.events import TestCaseSignal
from lava_vmgroup.testshell.verdicts import NO_DETAILS, Details, verdict

MAX_MEMBERS = 50_000
MAX_BYTES = 64 << 20
"""Bytes of an archive that are fetched at most."""

_LEFT_OUT, _RECORDS = "left-out", "records.log"
_MIME_TYPE = ".mimetype"
_RUN_FOLDER = re.compile(r"\d+_(?P<uuid>.+)-\d+")
_MAX_FIELD = 4000
_MAX_CONTEXT = 1 << 20
"""Bytes that are read of a file that describes the system."""
_RUNS_OWN_FILES = ("stdout.log", "testdef.yaml", "return_code", "install_return_code")
_CASE_FIELDS = frozenset({"result", "measurement", "units", "message", "reference", "begun"})


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCase:
    """One test case in a folder of results/, written by a helper or by a tool of the test."""

    reported: str | None = None
    """The word for the result; None if the folder holds only attachments."""
    details: Details = NO_DETAILS
    begun: int = 0
    """Number of times that lava-test-case has begun it."""
    attachments: tuple[Attachment, ...] = ()

    def as_signal(self, name: str) -> TestCaseSignal:
        """Return the event that the marker of this test case would give."""
        return verdict(name, self.reported or "", self.details)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftBehind:
    """The files of one test run, and the values read from them."""

    attachments: tuple[Attachment, ...] = ()
    cases: Mapping[str, KeptCase] = field(default_factory=dict)
    """By name, the oldest first."""
    hardware: tuple[HardwareDevice, ...] = ()
    image: str | None = None
    packages: tuple[tuple[str, str], ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    records: tuple[str, ...] = ()
    """The records of the run as lines, in any order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """A whole results folder."""

    runs: Mapping[str, LeftBehind]
    """By the UUID of the test."""
    problems: tuple[str, ...] = ()
    """A message for each part that is missing."""


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    mtime: float

    @property
    def text(self) -> str:
        return decoded(self.content)


_Files = dict[str, _File]


def size_to_fetch(said: str) -> int:
    """Return the number of bytes to fetch of an archive, at most `MAX_BYTES`.

    The last word of `said`, which the system under test printed, is the archive's size.  Raises
    `InfrastructureError` if that is no number.
    """
    *_, word = said.split() or [""]
    if not re.fullmatch("[0-9]{1,15}", word):
        raise InfrastructureError(f"the size of the packed results is no number: {word[:80]!r}")
    return min(int(word), MAX_BYTES)


def read_results(archive: bytes) -> Collected:
    """Read the tar of a results folder as far as possible; damage is among the problems."""
    problems: list[str] = []
    folders: dict[str, _Files] = {}
    for path, file in _members(archive, problems):
        if path == _LEFT_OUT:
            problems += [f"too large to be collected: {line}" for line in file.text.splitlines()]
        folder, _, name = path.partition("/")
        if name and (match := _RUN_FOLDER.fullmatch(folder)):
            folders.setdefault(match["uuid"], {})[name] = file
    runs = {uuid: _left_behind(files) for uuid, files in folders.items()}
    return Collected(runs=runs, problems=tuple(problems))


def _members(archive: bytes, problems: list[str]) -> Iterator[tuple[str, _File]]:
    """Yield every ordinary file of the archive with its path; add damage to `problems`."""
    if not archive:
        return
    count = 0
    try:
        # If there are many files, the node writes several archives, one after the other.
        with tars.opened(io.BytesIO(archive), ignore_zeros=True) as tar:
            for member in tars.members(tar):
                count += 1
                if count > MAX_MEMBERS:
                    problems.append(f"only the first {MAX_MEMBERS} files were collected")
                    return
                path = posixpath.normpath(decoded(os.fsencode(member.name)))
                outside = path.startswith(("/", ".."))
                if not member.isreg() or member.issparse() or outside:
                    continue
                file = tar.extractfile(member)
                size = min(member.size, len(archive))  # a member may claim any size
                content = file.read(size) if file is not None else b""
                yield path, _File(content, float(member.mtime))
    except (tarfile.TarError, EOFError, OSError) as error:
        problems.append(f"the collected files cannot be read: {error}")


def _left_behind(files: _Files) -> LeftBehind:
    def text(name: str) -> str:
        return files[name].content[:_MAX_CONTEXT].decode(errors="replace") if name in files else ""

    attachments = [_attachment(name, files[name]) for name in _RUNS_OWN_FILES if name in files]
    for path in files:
        if path.startswith("attachments/"):
            attachments += _with_type(files, path, path.removeprefix("attachments/"))
    return LeftBehind(
        attachments=tuple(attachments),
        cases=_cases(files),
        hardware=tuple(
            contexts.hardware(
                text("hwcontext/cpuinfo.txt"),
                text("hwcontext/meminfo.txt"),
                text("hwcontext/board.txt"),
            )
        ),
        image=next(iter(text("swcontext/build.txt").strip().splitlines()), None),
        packages=contexts.packages(text("swcontext/pkgs.txt")),
        metadata=parse_extra_metadata(text("extra_metadata")),
        records=tuple(files[_RECORDS].text.split("\n")) if _RECORDS in files else (),
    )


def _cases(files: _Files) -> dict[str, KeptCase]:
    """Return the test case of each folder of results/ that holds a result or attachments."""
    told: dict[str, dict[str, str]] = {}
    attached: dict[str, list[Attachment]] = {}
    first: dict[str, float] = {}
    for path, file in files.items():
        if not path.startswith("results/"):
            continue
        inner = path.removeprefix("results/")
        name, attachments, pathname = inner.partition("/attachments/")
        if attachments:
            attached.setdefault(name, []).extend(_with_type(files, path, pathname))
        else:
            name, _, key = inner.rpartition("/")
            if not name or key not in _CASE_FIELDS:
                continue
            told.setdefault(name, {})[key] = file.text.strip()[:_MAX_FIELD]
        first[name] = min(first.get(name, file.mtime), file.mtime)
    return {
        name: _case(told.get(name), tuple(attached.get(name, ())))
        for name in sorted(first, key=lambda one: (first[one], one))
    }


def _case(fields: Mapping[str, str] | None, attachments: tuple[Attachment, ...]) -> KeptCase:
    if fields is None:
        return KeptCase(attachments=attachments)
    words = {key: value for key, value in fields.items() if key not in ("result", "begun")}
    begun = len(fields.get("begun", ""))
    return KeptCase(
        # As in LAVA, a case without a result is recorded as unknown.
        reported=fields.get("result", None if begun and not words else ""),
        details=Details(**words),
        begun=begun,
        attachments=attachments,
    )


def _with_type(files: _Files, path: str, pathname: str) -> Iterator[Attachment]:
    """Yield the attachment of a file; nothing if the file holds the MIME type of another one."""
    other = path.removesuffix(_MIME_TYPE)
    if other == path or other not in files:
        mime = files.get(path + _MIME_TYPE)
        yield _attachment(pathname, files[path], mime.text.strip() if mime else None)


def _attachment(name: str, file: _File, mime_type: str | None = None) -> Attachment:
    if not mime_type and name.endswith((".sh", ".yaml", ".log", "return_code")):
        mime_type = "text/plain"
    guess = mime_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Attachment(pathname=name, mime_type=guess, content=file.content)
