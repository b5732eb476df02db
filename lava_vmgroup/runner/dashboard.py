# SPDX-License-Identifier: MIT
"""Sending the bundles of a group to a LAVA dashboard by XML-RPC.

As in LAVA v1, each member puts its bundle on a pile that has the group's name, and the last one
has the pile published as one bundle.  In v1 only the host could be the last, so a group whose host
did not submit was never published; here it is the host if it submits, or else the last VM.
"""

from __future__ import annotations

import http.client
import ssl
import time
import xmlrpc.client
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit
from xml.parsers.expat import ExpatError

from lava_vmgroup.base.clock import now
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import Canceled, InfrastructureError, VMGroupError
from lava_vmgroup.base.masking import MASK
from lava_vmgroup.results.model import JobResult
from lava_vmgroup.results.writers import bundle

_CONNECT_S = 10.0
_MAX_ANSWER = 1 << 20
"""Bytes; a dashboard answers with a digest or a URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One node's wish to have its results submitted."""

    command: str
    node: str
    server: str = field(repr=False)
    """URL of the XML-RPC service; may name a user and a password."""
    stream: str
    token: str | None = field(default=None, repr=False)

    @property
    def destination(self) -> tuple[str, str]:
        """What submissions of one group have in common: where, and what is published there."""
        return self.server, self.stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """What came of the submissions to one destination."""

    submissions: Sequence[Submission]
    url: str | None
    """Where the dashboard says that the bundle is; None when it failed."""
    pending: Sequence[str]
    """What the dashboard said of each bundle on the pile: its SHA-1."""
    error: VMGroupError | None
    started_at: datetime
    duration_s: float


def submit(
    result: JobResult, submissions: Sequence[Submission], deadline: Deadline
) -> Iterator[Submitted]:
    """Submit to each destination; blocks until the deadline at most, never raises."""
    destinations = dict.fromkeys(one.destination for one in submissions)
    for destination in destinations:
        members = [one for one in submissions if one.destination == destination]
        started_at, started = now(), time.monotonic()
        url, error = None, None
        pending: list[str] = []
        try:
            url = _submit_group(result, members, pending, deadline)
        except VMGroupError as failure:
            error = failure.at(action=members[-1].command)
        except Exception as bug:  # noqa: BLE001 (the results are still to be written to files)
            error = VMGroupError(
                f"{type(bug).__name__}: {bug}", hint="this is a bug, please report it"
            )
            error.__cause__ = bug
        yield Submitted(
            submissions=members,
            url=url,
            pending=pending,
            error=error,
            started_at=started_at,
            duration_s=time.monotonic() - started,
        )


def _submit_group(
    result: JobResult, members: Sequence[Submission], piled: list[str], deadline: Deadline
) -> str:
    """Submit the bundles of all members to their one destination; returns the bundle's URL.

    What the dashboard says of those that it has put on the pile is added to `piled`.
    """
    nodes = {node.name: node for node in result.nodes}
    # A node may name a destination twice, and has its results there once.
    names = list(dict.fromkeys(one.node for one in members))
    names.sort(key=lambda name: nodes[name].is_host)
    by_name = {one.node: one for one in members}
    texts = [bundle.render_node(result, nodes[name]) for name in names]
    dashboards = [_Dashboard(by_name[name], deadline) for name in names]
    *pending, (dashboard, text) = zip(dashboards, texts, strict=True)
    stream = members[0].stream
    if not pending:
        return dashboard.call("put_ex", text, quote(result.job_name), stream)
    for member, content in pending:
        piled.append(member.call("put_pending", content, stream, result.target_group))
    return dashboard.call("put_group", text, result.job_name, stream, result.target_group)


class _Dashboard:
    """The calls that a dashboard takes, in the name of one submission's user."""

    def __init__(self, submission: Submission, deadline: Deadline) -> None:
        url = urlsplit(submission.server)
        self._secrets = [secret for secret in (submission.token, url.password) if secret]
        self._name = url.netloc.rpartition("@")[2]
        netloc = url.netloc
        if submission.token is not None:
            user = netloc.rpartition("@")[0]
            netloc = f"{user}:{quote(submission.token, safe='')}@{self._name}"
            self._secrets.append(quote(submission.token, safe=""))
        self._url = urlunsplit(url._replace(netloc=netloc))
        self._transport = _Transport(deadline, encrypted=url.scheme == "https")
        self._deadline = deadline

    def call(self, method: str, *arguments: str) -> str:
        """Call one method; returns its answer, a text in one line.

        Raises `InfrastructureError` without any secret in it, or why the work was canceled.
        """
        proxy = xmlrpc.client.ServerProxy(self._url, transport=self._transport)
        try:
            self._deadline.check()
            with self._deadline.waking(self._transport.abort):
                answer: Any = getattr(proxy.dashboard, method)(*arguments)
        except Exception as error:  # noqa: BLE001 (a server may answer anything)
            raise self._explained(method, error) from None
        finally:
            self._transport.close()
        if not isinstance(answer, str) or not answer or not answer.isprintable():
            raise InfrastructureError(f"{self._name} answered {method} with something else")
        return self._without_secrets(answer)

    def _explained(self, method: str, error: Exception) -> VMGroupError:
        ended = self._deadline.token.reason if self._deadline.token is not None else None
        if isinstance(ended, Canceled):
            return ended
        hint = None
        cause: Exception = ended or error
        match cause:
            case xmlrpc.client.ProtocolError():
                # Its text has the whole URL in it.
                reason = f"HTTP status {cause.errcode} {cause.errmsg}"
                hint = "check the user and the token" if cause.errcode in (401, 403) else None
            case xmlrpc.client.Fault():
                reason = f"fault {cause.faultCode}: {cause.faultString}"
            case xmlrpc.client.Error() | ExpatError():
                reason = "its answer is no XML-RPC"
            case VMGroupError():
                reason = cause.message
            case ssl.SSLCertVerificationError():
                reason = str(cause)
                hint = (
                    "add the server's CA to the system's certificates, or name its file by the "
                    "environment variable SSL_CERT_FILE"
                )
            case _:
                reason = str(cause) or type(cause).__name__
        text = f"submitting the results to {self._name} failed: {method}: {reason}"
        return InfrastructureError(self._without_secrets(text), hint=hint)

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text


class _Transport(xmlrpc.client.Transport):
    """One connection at a time, with limits, that another thread can abort."""

    accept_gzip_encoding = False

    def __init__(self, deadline: Deadline, *, encrypted: bool) -> None:
        super().__init__()
        self._deadline = deadline
        self._kind = http.client.HTTPSConnection if encrypted else http.client.HTTPConnection
        self._open: http.client.HTTPConnection | None = None

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        """Connect with a limit of its own, for nothing can wake a thread that connects."""
        name, self._extra_headers, _ = self.get_host_info(host)
        limit_s = self._deadline.sub("connecting", _CONNECT_S).remaining_s
        self._open = self._kind(name, timeout=max(limit_s, 0.001))
        self._open.connect()
        assert self._open.sock is not None, "it is connected"
        self._open.sock.settimeout(max(self._deadline.remaining_s, 0.001))
        self._deadline.check()
        return self._open

    def request(self, *arguments: Any, **more: Any) -> Any:
        """Ask once: a second time would put a bundle on the pile twice."""
        return self.single_request(*arguments, **more)

    def parse_response(self, response: Any) -> Any:
        """Take an answer of a sane size, which may not be compressed."""
        with response:
            content = response.read(_MAX_ANSWER + 1)
        if len(content) > _MAX_ANSWER:
            raise InfrastructureError(f"its answer has more than {_MAX_ANSWER >> 10} KiB")
        parser, unmarshaller = self.getparser()
        parser.feed(content)
        parser.close()
        return unmarshaller.close()

    def abort(self) -> None:
        """End a call that blocks in another thread."""
        sock = self._open.sock if self._open is not None else None
        if sock is not None:
            try:
                sock.shutdown(2)
            except OSError:
                return

    def close(self) -> None:
        """Close the connection."""
        if self._open is not None:
            self._open.close()
