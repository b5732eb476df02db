# SPDX-License-Identifier: MIT
"""The place of a test definition, as a job or another definition names it."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from lava_vmgroup.base.errors import JobError
from lava_vmgroup.base.text import legible
from lava_vmgroup.job.reference import FileReference

DEFAULT_TESTDEF = "lavatest.yaml"

FORBIDDEN_IN_NAMES = " $&()\"'<>/\\|;`"
"""Characters that a test's name must not have: it stands in shell code and in marker lines."""

PARAMETER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class SourceKind(enum.Enum):
    """The kinds of places, by the words of ``from``."""

    GIT = "git"
    BZR = "bzr"
    TAR = "tar"
    URL = "url"
    INLINE = "inline"


_KEYS = {
    "git-repo": SourceKind.GIT,
    "bzr-repo": SourceKind.BZR,
    "tar-repo": SourceKind.TAR,
    "url": SourceKind.URL,
}
"""LAVA v1's keys for a place; today's LAVA has ``from`` and ``repository`` instead."""

_TEXT = {"type": "string", "minLength": 1}

_TRUTH = {"type": ["boolean", "string"], "pattern": "^(?i:true|false)$"}

_WITHOUT_EFFECT: dict[str, Any] = {
    "lava-signal": {"enum": ["kmsg", "stdout"]},
    "history": _TRUTH,
}
"""Keys of today's LAVA that change nothing here: results go beside the console if the node has a
channel there, and no test gets the history of its repository."""

SOURCE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        **dict.fromkeys(_KEYS, _TEXT),
        "from": {"enum": [kind.value for kind in SourceKind]},
        "repository": {},
        "testdef": _TEXT,
        "path": _TEXT,
        "name": _TEXT,
        "revision": {},
        "branch": _TEXT,
        "parameters": {"type": "object"},
        "params": {"type": "object"},
        "expected": {"type": "array", "items": _TEXT},
        **_WITHOUT_EFFECT,
        "recursive": _TRUTH,
    },
    "x-text": True,
}
"""The JSON schema of an entry; `parse_source` checks further rules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The place of one test definition, and the values that replace the definition's own."""

    kind: SourceKind
    location: str = ""
    """A URL or a path; the base64 text of a tar archive; empty for an inline definition."""
    testdef: str = DEFAULT_TESTDEF
    """The definition's path in a repository or an archive."""
    revision: str = ""
    branch: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Shell variables that override those of the definition."""
    name: str = ""
    """The test's name in place of the definition's; empty to keep that."""
    expected: tuple[str, ...] = ()
    """The test cases to be recorded in place of the definition's; empty to keep those."""
    recursive: bool = False
    """True fetches the submodules of a git repository, too."""
    inline: Mapping[str, Any] | None = None
    """The definition itself, if it is part of the job file."""

    @property
    def identity(self) -> tuple[str, ...]:
        """A key that is equal for two sources of the same definition."""
        return (self.kind.value, self.location, self.branch, self.revision, self.testdef)

    def __str__(self) -> str:
        match self.kind:
            case SourceKind.URL:
                return FileReference(url=self.location).shown
            case SourceKind.INLINE:
                return "inline"
            case SourceKind.TAR:
                return f"{self.testdef} in the tar archive"
            case _:
                return f"{self.testdef} in {shown(self.location)}"


def shown(url: str) -> str:
    """Return a URL, or a text with URLs, without user names and passwords, for logs and results."""
    return re.sub(r"(?<=://)[^/@\s]*@", "", url)


def parse_source(entry: Mapping[str, Any]) -> Source:
    """Parse an entry that `SOURCE_SCHEMA` allows.

    Raises `JobError` with all problems, each with its key as the place.
    """
    problems = list(_place_problems(entry))
    problems += _value_problems(entry)
    if problems:
        raise JobError("; ".join(problems), problems=problems)
    v1_key = next((key for key in _KEYS if key in entry), None)
    kind = _KEYS[v1_key] if v1_key else SourceKind(entry["from"])
    place = entry[v1_key or "repository"]
    inline = place if kind is SourceKind.INLINE else None
    return Source(
        kind=kind,
        location="" if inline is not None else place,
        testdef=str(entry.get("testdef", entry.get("path", DEFAULT_TESTDEF))),
        revision=str(entry.get("revision", "")),
        branch=entry.get("branch", ""),
        parameters=parameter_texts(entry.get("parameters", entry.get("params", {}))),
        name=entry.get("name", ""),
        expected=tuple(entry.get("expected", ())),
        recursive=str(entry.get("recursive", "")).lower() == "true",
        inline=inline,
    )


def parameter_texts(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return parameters as text: ``true`` and ``false`` for truth values, empty text for null."""
    return {name: _parameter_text(value) for name, value in parameters.items()}


def _parameter_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


_OF_BASH = frozenset(
    {
        "BASHOPTS",
        "BASHPID",
        "BASH_VERSINFO",
        "EUID",
        "FUNCNAME",
        "GROUPS",
        "PPID",
        "SHELLOPTS",
        "UID",
    }
)
"""Variables that bash lets nobody set; some of them it leaves as they are without a word."""


def parameter_problems(parameters: Mapping[str, Any]) -> Iterator[str]:
    """Yield a problem for each parameter that cannot be a shell variable; its name is the place."""
    for name, value in parameters.items():
        if not PARAMETER_NAME.fullmatch(name):
            yield f"{name}: expected a shell variable's name: letters, digits and _"
        if name in _OF_BASH:
            yield f"{name}: bash keeps this variable for itself; use another name"
        if isinstance(value, str) and "\0" in value:
            yield f"{name}: expected text without NUL, which no shell variable can hold"


MAX_NAME = 200
"""Characters of a test's name: it stands in markers, whose length is limited."""


def made_name(given: str) -> str:
    """Return a test's name: `given` with ``_`` for characters that a name must not have."""
    kept = "".join(one if _is_fit(one) else " " for one in legible(given))
    return "_".join(kept.split())[:MAX_NAME] or "_"


def _is_fit(character: str) -> bool:
    return character not in FORBIDDEN_IN_NAMES and character.isprintable()


def name_problem(name: str) -> str | None:
    """Return the reason why `name` cannot be a test's name, or None."""
    bad = [
        f"{character!r} at {position}"
        for position, character in enumerate(name)
        if not _is_fit(character)
    ]
    if not bad:
        return None
    return (
        f"expected a name without blanks and {FORBIDDEN_IN_NAMES.strip()}, found {', '.join(bad)}"
    )


def path_problem(path: str) -> str | None:
    """Return the reason why `path` is no path inside a folder, or None."""
    parts = PurePosixPath(path).parts
    if not parts or parts[0] == "/" or ".." in parts or "\0" in path:
        return f"expected a path inside the repository, found {path!r}"
    return None


def _place_problems(entry: Mapping[str, Any]) -> Iterator[str]:
    given = [key for key in (*_KEYS, "from") if key in entry]
    if len(given) != 1:
        known = ", ".join((*_KEYS, "from"))
        yield f"expected exactly one of {known}, found {' and '.join(given) or 'none of them'}"
        return
    if given != ["from"]:
        if "repository" in entry:
            yield f"repository: goes with from, not with {given[0]}; remove one of the two"
        return
    repository = entry.get("repository")
    if entry["from"] == SourceKind.INLINE.value:
        if not isinstance(repository, Mapping):
            yield "repository: expected the test definition itself, a mapping with metadata and run"
    elif not isinstance(repository, str) or not repository:
        yield f"repository: expected text that says where the {entry['from']} source is"


def _value_problems(entry: Mapping[str, Any]) -> Iterator[str]:
    for word, other in (("path", "testdef"), ("params", "parameters")):
        if word in entry and other in entry:
            yield f"{word}: another word for {other}; give one of the two"
    for key in ("testdef", "path"):
        if key in entry and (problem := path_problem(entry[key])):
            yield f"{key}: {problem}"
    if problem := name_problem(entry.get("name", "")):
        yield f"name: {problem}"
    yield from _revision_problems(entry)
    for key in ("parameters", "params"):
        for problem in _parameters_problems(entry.get(key, {})):
            yield f"{key}.{problem}"


def _revision_problems(entry: Mapping[str, Any]) -> Iterator[str]:
    revision = entry.get("revision", "")
    if not isinstance(revision, str | int) or isinstance(revision, bool):
        yield f"revision: expected text or a number, found {revision!r}"
    if entry.get("branch", "").startswith("-"):
        yield f"branch: must not begin with '-', found {entry['branch']!r}"
    if str(revision).startswith("-") and "bzr" not in (entry.get("from"), *_words(entry)):
        yield f"revision: must not begin with '-', found {revision!r}"


def _words(entry: Mapping[str, Any]) -> Iterator[str]:
    """Return the kinds of places that v1's keys of an entry mean."""
    return (_KEYS[key].value for key in entry if key in _KEYS)


def _parameters_problems(parameters: Mapping[str, Any]) -> Iterator[str]:
    for name, value in parameters.items():
        if not isinstance(value, str | int | float | bool | None):
            yield f"{name}: expected text or a number, found {value!r}"
    yield from parameter_problems(parameters)
