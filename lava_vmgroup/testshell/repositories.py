# SPDX-License-Identifier: MIT
"""Repositories of test definitions, fetched by their own programs, git and bzr.

What a job says of a repository is never an option of these programs, nor a transport that runs
commands, and no program asks anybody for a password.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lava_vmgroup.connections.program import find_tool, run_tool
from lava_vmgroup.deadline import Deadline
from lava_vmgroup.errors import ConfigurationError, JobError
from lava_vmgroup.testshell.source import SourceKind, shown
from lava_vmgroup.testshell.tree import MAX_BYTES

_LIMIT_UNIT = 512
"""Bytes; in these blocks a shell counts."""

_SCHEMES = {
    SourceKind.GIT: frozenset({"file", "git", "http", "https", "ssh"}),
    SourceKind.BZR: frozenset({"bzr", "bzr+ssh", "file", "http", "https", "lp", "sftp"}),
}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://|(lp):")
_OTHER_HOST = re.compile(r"[^/]+:")
"""The start of ``user@host:path``, which git reaches by ssh."""

_GIT_ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": ":".join(sorted(_SCHEMES[SourceKind.GIT])),
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "SSH_ASKPASS": "true",
}

Ended = subprocess.CompletedProcess[bytes]


def local_repository(url: str, folder: Path) -> Path | None:
    """The folder on the dispatcher that a repository's URL names, None for one elsewhere.

    Paths are relative to `folder`.
    """
    scheme = _SCHEME.match(url)
    if scheme and scheme[1] == "file":
        return Path(unquote(urlsplit(url).path))
    if scheme or _OTHER_HOST.match(url):
        return None
    return folder / url


@dataclass(frozen=True, slots=True, kw_only=True)
class Repositories:
    """Fetches repositories; all methods raise JobError with the reason of git or bzr."""

    folder: Path
    """What relative paths are relative to."""
    deadline: Deadline
    environment: Mapping[str, str]
    """For git and bzr, added to ours: a proxy."""

    def clone_git(self, url: str, target: Path, *, branch: str = "", revision: str = "") -> str:
        """Clone into `target`, which must not exist; returns the commit that is checked out.

        Without a revision, only the newest commit is fetched.
        """
        place = _checked(url, SourceKind.GIT, self.folder)
        words = ["git", "clone", "--quiet"]
        if branch:
            words += ["--branch", branch]
        newest_only = [] if revision else ["--depth", "1"]
        ended = self._git([*words, *newest_only, "--", place, str(target)])
        if ended.returncode != 0 and newest_only and "shallow" in _said(ended):
            # A server of plain files over HTTP.
            shutil.rmtree(target, ignore_errors=True)
            ended = self._git([*words, "--", place, str(target)])
        _succeeded(ended, f"cannot clone {shown(url)}")
        inside = ["git", "-C", str(target)]
        if revision:
            ended = self._git([*inside, "checkout", "--quiet", "--detach", revision, "--"])
            _succeeded(ended, f"cannot check out {revision!r} of {shown(url)}")
        ended = self._git([*inside, "rev-parse", "HEAD"])
        _succeeded(ended, f"{shown(url)} has no commit")
        return ended.stdout.decode().strip()

    def branch_bzr(self, url: str, target: Path, *, revision: str = "") -> str:
        """As `clone_git`, with bzr or its successor brz; returns the revision's number."""
        program = next((name for name in ("bzr", "brz") if shutil.which(name)), None)
        if program is None:
            raise ConfigurationError(
                f"cannot fetch {shown(url)}: the dispatcher has no bzr",
                hint="install the package brz there, or put the tests into a git repository",
            )
        place = _checked(url, SourceKind.BZR, self.folder)
        words = [program, "branch", "--quiet", f"--revision={revision or '-1'}", "--"]
        variables = {"BZR_SSH": "ssh", "SSH_ASKPASS": "true", **self.environment}
        ended = self._limited([*words, place, str(target)], variables)
        _succeeded(ended, f"cannot branch {shown(url)}")
        words = [program, "revno", "--", str(target)]
        ended = run_tool(words, self.deadline, environment=variables)
        _succeeded(ended, f"{shown(url)} has no revision")
        return ended.stdout.decode().strip()

    def _git(self, words: list[str]) -> Ended:
        ssh = os.environ.get("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")
        variables = {**_GIT_ENVIRONMENT, "GIT_SSH_COMMAND": ssh, **self.environment}
        return self._limited(words, variables)

    def _limited(self, words: list[str], variables: Mapping[str, str]) -> Ended:
        """Run a program that cannot write a file that is larger than a test may be."""
        find_tool(words[0])
        limit = ["sh", "-c", 'ulimit -f "$0" && exec "$@"', str(MAX_BYTES // _LIMIT_UNIT)]
        ended = run_tool([*limit, *words], self.deadline, environment=variables)
        if ended.returncode in (-signal.SIGXFSZ, 128 + signal.SIGXFSZ):
            raise JobError(
                f"a repository has a file of more than {MAX_BYTES >> 20} MiB",
                hint="have the test download what is large",
            )
        return ended


def project_name(url: str) -> str:
    """What a repository is called, by its URL."""
    path = urlsplit(url).path if "://" in url else url
    last = re.split(r"[/:]", path.rstrip("/"))[-1]
    return last.removesuffix(".git") or "repository"


def check_url(url: str, kind: SourceKind) -> None:
    """Raise JobError for what cannot be the place of a repository, wherever that may be."""
    schemes = _SCHEMES[kind]
    scheme = _SCHEME.match(url)
    if scheme and (scheme[1] or scheme[2]).lower() not in schemes:
        raise JobError(
            f"cannot fetch {shown(url)}",
            hint=f"give a path, or a URL of {', '.join(sorted(schemes))}",
        )
    if url.startswith("-") or "::" in url.partition("/")[0] or not url.isprintable():
        raise JobError(f"{url!r} is not the place of a repository", hint="give a path or a URL")


def _checked(url: str, kind: SourceKind, folder: Path) -> str:
    """The repository's place for a command line; raises JobError for what is no place."""
    check_url(url, kind)
    path = local_repository(url, folder)
    if path is None:
        return url
    if not path.is_dir():
        raise JobError(f"there is no repository {path}")
    return url if _SCHEME.match(url) else str(path.absolute())


def _said(ended: Ended) -> str:
    return shown(ended.stderr.decode(errors="replace").strip())


def _succeeded(ended: Ended, failure: str) -> None:
    if ended.returncode != 0:
        said = _said(ended).splitlines() or ["it said nothing"]
        reasons = [line for line in said if line.lower().startswith(("fatal:", "error:"))]
        raise JobError(f"{failure}: {(reasons or said)[-1]}")
