# SPDX-License-Identifier: MIT
"""Fetches repositories of test definitions with git and bzr.

The rules, and their reasons:

1. No text of a job becomes an option of these programs, or a transport that runs commands: a job
   must not run its own commands on the dispatcher.
2. The programs never ask for a password: nobody could answer.
3. A password of the job is not on a command line: every user of the dispatcher could read it there.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import unquote, urlsplit, urlunsplit

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import ConfigurationError, JobError
from lava_vmgroup.connections.program import find_tool, run_tool
from lava_vmgroup.testdefs.source import SourceKind, shown
from lava_vmgroup.testdefs.tree import MAX_BYTES

_LIMIT_UNIT = 512
"""Bytes of a block, in which ``ulimit -f`` counts."""

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

_HTTP = frozenset({"http", "https"})
_CREDENTIAL_HELPER = (
    '!f() { [ "$1" != get ] || '
    'printf "username=%s\\npassword=%s\\n" "$LAVA_GIT_USERNAME" "$LAVA_GIT_PASSWORD"; }; f'
)
"""A credential helper, which git runs in a shell: it prints the job's user name and password."""

Ended = subprocess.CompletedProcess[bytes]


def local_repository(url: str, folder: Path) -> Path | None:
    """Return the folder on the dispatcher that a repository's URL names; None if it is elsewhere.

    Relative paths refer to `folder`.
    """
    scheme = _SCHEME.match(url)
    if scheme and scheme[1] == "file":
        return Path(unquote(urlsplit(url).path))
    if scheme or _OTHER_HOST.match(url):
        return None
    return folder / url


@dataclass(frozen=True, slots=True, kw_only=True)
class _GitPlace:
    """A repository's place for git, with the credentials apart from the URL."""

    url: str
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, place: str) -> _GitPlace:
        """Make a place of a path, or of a URL that may hold credentials."""
        url = urlsplit(place) if _SCHEME.match(place) else urlsplit("")
        if url.scheme not in _HTTP or url.username is None:
            return cls(url=place)
        host = url.netloc.rpartition("@")[2]
        options = ["-c", f"credential.{url.scheme}://{host}.helper={_CREDENTIAL_HELPER}"]
        if url.password is not None:
            # The empty helper switches off those of the dispatcher's user: they would answer for
            # the job, or store its password.
            options = ["-c", "credential.helper=", *options]
        return cls(
            url=urlunsplit(url._replace(netloc=host)),
            options=tuple(options),
            environment={
                "LAVA_GIT_USERNAME": unquote(url.username),
                "LAVA_GIT_PASSWORD": unquote(url.password or ""),
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Repositories:
    """A client of git and bzr.

    Its methods block until the program has ended, and raise `JobError` with the program's reason.
    """

    folder: Path
    """The folder to which relative paths refer."""
    deadline: Deadline
    environment: Mapping[str, str]
    """More environment variables for git and bzr, such as a proxy."""

    def clone_git(
        self,
        url: str,
        target: Path,
        *,
        branch: str = "",
        revision: str = "",
        recursive: bool = False,
    ) -> str:
        """Clone into `target`, which must not exist; return the commit that is checked out.

        Without a `revision`, only the newest commit is fetched.  With `recursive`, submodules are
        fetched, too.
        """
        place = _GitPlace.of(_checked(url, SourceKind.GIT, self.folder))
        words = ["git", *place.options, "clone", "--quiet"]
        if branch:
            words += ["--branch", branch]
        newest_only = [] if revision else ["--depth", "1"]
        from_there = ["--", place.url, str(target)]
        ended = self._git([*words, *newest_only, *from_there], place.environment)
        if ended.returncode != 0 and newest_only and "shallow" in _said(ended):
            # A server of plain files over HTTP cannot give part of a history.
            shutil.rmtree(target, ignore_errors=True)
            ended = self._git([*words, *from_there], place.environment)
        _succeeded(ended, f"cannot clone {shown(url)}")
        inside = ["git", "-C", str(target)]
        if revision:
            ended = self._check_out(inside, revision)
            _succeeded(ended, f"cannot check out {revision!r} of {shown(url)}")
        if recursive:
            words = ["submodule", "--quiet", "update", "--init", "--recursive"]
            more = {**place.environment, **self._submodules_from(url)}
            ended = self._git(["git", *place.options, *inside[1:], *words], more)
            _succeeded(ended, f"cannot fetch the submodules of {shown(url)}")
        ended = self._git([*inside, "rev-parse", "HEAD"])
        _succeeded(ended, f"{shown(url)} has no commit")
        return ended.stdout.decode().strip()

    def _check_out(self, inside: Sequence[str], revision: str) -> Ended:
        """Check out a commit, a tag, or a branch, of which a clone has only the remote's."""
        words = [*inside, "checkout", "--quiet", "--detach"]
        ended = self._git([*words, revision, "--"])
        if ended.returncode != 0:
            of_remote = self._git([*words, f"origin/{revision}", "--"])
            return of_remote if of_remote.returncode == 0 else ended
        return ended

    def branch_bzr(self, url: str, target: Path, *, revision: str = "") -> str:
        """Branch into `target` with bzr or its successor brz; return the revision's number.

        Raises `ConfigurationError` if the dispatcher has no such program.
        """
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

    def _submodules_from(self, url: str) -> Mapping[str, str]:
        """Return the variables that limit the transports of submodules.

        Only a repository on the dispatcher may have submodules there.
        """
        allowed = _SCHEMES[SourceKind.GIT]
        if local_repository(url, self.folder) is None:
            allowed -= {"file"}
        return {"GIT_ALLOW_PROTOCOL": ":".join(sorted(allowed))}

    def _git(self, words: list[str], more: Mapping[str, str] = MappingProxyType({})) -> Ended:
        ssh = os.environ.get("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")
        variables = {**_GIT_ENVIRONMENT, "GIT_SSH_COMMAND": ssh, **self.environment, **more}
        return self._limited(words, variables)

    def _limited(self, words: list[str], variables: Mapping[str, str]) -> Ended:
        """Run a program that cannot write a file of more than `MAX_BYTES`.

        Raises `JobError` if it tries.
        """
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
    """Return a repository's name, which is the end of its URL."""
    path = urlsplit(url).path if "://" in url else url
    last = re.split(r"[/:]", path.rstrip("/"))[-1]
    return last.removesuffix(".git") or "repository"


def check_url(url: str, kind: SourceKind) -> None:
    """Raise `JobError` if `url` cannot name a repository, or has a password that must be hidden.

    Only git over HTTP can hide a password.
    """
    schemes = _SCHEMES[kind]
    scheme = _SCHEME.match(url)
    if scheme and (scheme[1] or scheme[2]).lower() not in schemes:
        raise JobError(
            f"cannot fetch {shown(url)}",
            hint=f"give a path, or a URL of {', '.join(sorted(schemes))}",
        )
    if (
        scheme
        and _has_password(url)
        and (kind is not SourceKind.GIT or str(scheme[1]).lower() not in _HTTP)
    ):
        raise JobError(
            f"cannot fetch {shown(url)}: there is no place for a password",
            hint="let the dispatcher's user log in with a key, or use git over HTTP",
        )
    if url.startswith("-") or "::" in url.partition("/")[0] or not url.isprintable():
        raise JobError(f"{url!r} is not the place of a repository", hint="give a path or a URL")


def _checked(url: str, kind: SourceKind, folder: Path) -> str:
    """Return the repository's place for a command line; raise `JobError` if there is none."""
    check_url(url, kind)
    path = local_repository(url, folder)
    if path is None:
        return url
    if not path.is_dir():
        raise JobError(f"there is no repository {path}")
    return url if _SCHEME.match(url) else str(path.absolute())


def _has_password(url: str) -> bool:
    return ":" in urlsplit(url).netloc.rpartition("@")[0]


def _said(ended: Ended) -> str:
    return shown(ended.stderr.decode(errors="replace").strip())


def _succeeded(ended: Ended, failure: str) -> None:
    if ended.returncode != 0:
        said = _said(ended).splitlines() or ["it said nothing"]
        reasons = [line for line in said if line.lower().startswith(("fatal:", "error:"))]
        raise JobError(f"{failure}: {(reasons or said)[-1]}")
