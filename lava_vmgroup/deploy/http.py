# SPDX-License-Identifier: MIT
"""Downloads by HTTP that resume after an interruption, and that leave out an unchanged file."""

from __future__ import annotations

import re
import time
from urllib.parse import urlsplit

import requests
from requests import exceptions
from requests.utils import should_bypass_proxies

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import ConfigurationError, InfrastructureError, JobError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.base.progress import Progress
from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.deploy.http_connections import session
from lava_vmgroup.deploy.part import MAX_DOWNLOAD, Partial, Version
from lava_vmgroup.job.reference import FileReference

_SILENCE_S = 30.0
_PATIENCE_S = 300.0
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_CHUNK = 65536

# 501 and 505 are left out: the server does not support the request, and will not later.
_TRY_AGAIN = frozenset({408, 429, *range(500, 600)}) - {501, 505}


class _TroubleError(Exception):
    """The error of an attempt after which another may succeed."""


def _meaning(error: requests.RequestException, reference: FileReference) -> Exception:
    """Return the error to raise for `error`: `_TroubleError` if another attempt may succeed."""
    query = urlsplit(reference.url).query
    # The query may contain a secret.
    said = str(error).replace(f"?{query}", "?...") if query else str(error)
    text = f"cannot download {reference.shown}: {said}"
    match error:
        case exceptions.InvalidHeader():
            return ConfigurationError(
                f"cannot download {reference.shown}: LAVA_COOKIES cannot stand in a request",
                hint="write it as one line of printable characters, as name=value; name=value",
            )
        case exceptions.SSLError():
            return InfrastructureError(
                text, hint="does the dispatcher trust the server's certificate?"
            )
        case (
            exceptions.ConnectionError() | exceptions.Timeout() | exceptions.ChunkedEncodingError()
        ):
            return _TroubleError(said)
        case _:
            return JobError(text)


class HttpClient:
    """A client for downloads, with the dispatcher's cookies and proxy."""

    def __init__(self, config: DispatcherConfig, *, patience_s: float = _PATIENCE_S) -> None:
        """Take the settings of `config`; give up after `patience_s` seconds without any byte."""
        self._config = config
        self._patience_s = patience_s

    def download(
        self,
        reference: FileReference,
        part: Partial,
        known: Version | None,
        deadline: Deadline,
        log: NodeLog,
    ) -> Version | None:
        """Download a file into `part`, continuing after its bytes, and return the file's version.

        Returns None, and downloads nothing, if the server still has the version `known`.  If the
        connection or the server fails, tries again after growing pauses; then raises
        `InfrastructureError`.  Raises `JobError` at once for a file that the server refuses.
        """
        progress = Progress(log, reference.name, deadline)
        pause, last_byte = _FIRST_PAUSE_S, time.monotonic()
        while True:
            before = part.size
            try:
                return self._attempt(reference, part, known, deadline, progress)
            except _TroubleError as trouble:
                deadline.check()
                if part.size > before:
                    pause, last_byte = _FIRST_PAUSE_S, time.monotonic()
                if time.monotonic() + pause - last_byte > self._patience_s:
                    raise InfrastructureError(
                        f"cannot download {reference.shown}: {trouble}",
                        hint="is the server up, and reachable from the dispatcher?",
                    ) from trouble
                log.warning("download", f"trouble with {reference.shown}, going on: {trouble}")
            deadline.pause(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _attempt(
        self,
        reference: FileReference,
        part: Partial,
        known: Version | None,
        deadline: Deadline,
        progress: Progress,
    ) -> Version | None:
        limit = min(_SILENCE_S, max(deadline.remaining_s, 0.1))
        try:
            with (
                session(deadline) as web,
                web.get(
                    reference.url,
                    stream=True,
                    timeout=limit,
                    headers=self._headers(part, known),
                    proxies=self._proxies(reference.url),
                ) as answer,
            ):
                if answer.status_code == requests.codes.not_modified and known is not None:
                    return None
                start = _start(reference, answer, part)
                if start is not None:
                    _receive(reference, answer, part, start, progress)
                    deadline.check()
                return part.version
        except requests.RequestException as error:
            deadline.check()
            raise _meaning(error, reference) from None
        except ValueError as error:  # a redirection to an invalid URL
            raise JobError(f"cannot download {reference.shown}: {error}") from error

    def _headers(self, part: Partial, known: Version | None) -> dict[str, str | None]:
        wanted: dict[str, str | None] = {"Accept-Encoding": "identity"}
        wanted["Cookie"] = self._config.lava_cookies or None
        if part.size:
            wanted["Range"] = f"bytes={part.size}-"
            wanted["If-Range"] = part.version.exact
        elif known is not None:
            wanted["If-None-Match"] = known.etag
            wanted["If-Modified-Since"] = known.last_modified
        return wanted

    def _proxies(self, url: str) -> dict[str, str] | None:
        """Return the configured proxies for a URL; None leaves the choice to the environment."""
        config = self._config
        if not config.lava_proxy:
            return None
        direct = should_bypass_proxies(url, no_proxy=config.lava_no_proxy or None)
        return dict.fromkeys(("http", "https"), "" if direct else config.lava_proxy)


def _start(reference: FileReference, answer: requests.Response, part: Partial) -> int | None:
    """Return the position in the file where the answer begins; None if the part is complete."""
    status, headers = answer.status_code, answer.headers
    sent = Version(etag=headers.get("ETag"), last_modified=headers.get("Last-Modified"))
    if status == requests.codes.ok:
        part.begin(sent)
        return 0
    if status == requests.codes.partial_content:
        found = re.match(r"bytes ([0-9]{1,18})-", headers.get("Content-Range", ""))
        # Not every server understands If-Range; some send the rest of another version.
        if found and int(found[1]) == part.size and sent.may_be(part.version):
            return part.size
    if status == requests.codes.requested_range_not_satisfiable:
        whole = headers.get("Content-Range") == f"bytes */{part.size}"
        if whole and sent.may_be(part.version):
            return None
    if status in (requests.codes.partial_content, requests.codes.requested_range_not_satisfiable):
        part.discard()
        raise _TroubleError("the server does not go on where the download was interrupted")
    if status in _TRY_AGAIN:
        raise _TroubleError(f"HTTP status {status} {answer.reason}")
    raise JobError(f"cannot download {reference.shown}: HTTP status {status} {answer.reason}")


def _receive(
    reference: FileReference,
    answer: requests.Response,
    part: Partial,
    start: int,
    progress: Progress,
) -> None:
    # Some servers announce the compression of the file itself as HTTP's; that must not be undone.
    answer.raw.headers.pop("Content-Encoding", None)
    length = answer.headers.get("Content-Length", "")
    total = start + int(length) if re.fullmatch("[0-9]{1,18}", length) else 0
    done = start
    with part.path.open("ab") as stream:
        for chunk in answer.iter_content(_CHUNK):
            stream.write(chunk)
            done += len(chunk)
            progress(done, total)
            if done > MAX_DOWNLOAD:
                part.discard()
                raise JobError(f"{reference.shown} has more than {MAX_DOWNLOAD >> 30} GiB")
    progress(done, total or done)
    if total and done != total:
        raise _TroubleError(f"the connection ended after {done} of {total} bytes")
