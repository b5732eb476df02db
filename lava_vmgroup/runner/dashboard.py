# SPDX-License-Identifier: MIT
"""Submission of a group's bundles to a LAVA dashboard by XML-RPC.

As in LAVA v1, each member puts its bundle on a pile that has the group's name.  The last member's
call makes the dashboard publish the pile as one bundle.  In v1 that was always the host, so a group
whose host did not submit was never published.  Here it is the host if it submits, or else the last
VM.
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
"""Bytes of an answer; a dashboard sends a digest or a URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One node's request to submit its results."""

    command: str
    node: str
    server: str = field(repr=False)
    """URL of the XML-RPC service; may name a user and a password."""
    stream: str
    token: str | None = field(default=None, repr=False)

    @property
    def destination(self) -> tuple[str, str]:
        """Server and stream; submissions with the same ones are published as one bundle."""
        return self.server, self.stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """The outcome of the submissions to one destination."""

    submissions: Sequence[Submission]
    url: str | None
    """The dashboard's URL of the bundle; None if the submission failed."""
    pending: Sequence[str]
    """The dashboard's answer for each bundle on the pile: its SHA-1."""
    error: VMGroupError | None
    started_at: datetime
    duration_s: float


def submit(
    result: JobResult, submissions: Sequence[Submission], deadline: Deadline
) -> Iterator[Submitted]:
    """Submit to each destination, and yield each outcome; blocks until the deadline at most.

    Errors, also bugs, are part of the outcomes; none is raised.
    """
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
    """Submit the bundles of all members to their one destination, and return the bundle's URL.

    Appends the dashboard's answer for each bundle on the pile to `piled`, also if a later call
    fails.
    """
    nodes = {node.name: node for node in result.nodes}
    # A node may name a destination twice; its results go there once.
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
    """A dashboard, called as the user of one submission."""

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
        """Call one method, and return its answer, a text of one line.

        Raises `Canceled` if the job was canceled, else `InfrastructureError`, without any secret
        in its message.
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
                # The error's own text contains the whole URL, and so the secrets.
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
    """A transport with one connection at a time and time limits; another thread can abort it."""

    accept_gzip_encoding = False

    def __init__(self, deadline: Deadline, *, encrypted: bool) -> None:
        super().__init__()
        self._deadline = deadline
        self._kind = http.client.HTTPSConnection if encrypted else http.client.HTTPConnection
        self._open: http.client.HTTPConnection | None = None

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        """Connect, within a short limit, as `abort` cannot wake a thread that connects."""
        name, self._extra_headers, _ = self.get_host_info(host)
        limit_s = self._deadline.sub("connecting", _CONNECT_S).remaining_s
        self._open = self._kind(name, timeout=max(limit_s, 0.001))
        self._open.connect()
        assert self._open.sock is not None, "it is connected"
        self._open.sock.settimeout(max(self._deadline.remaining_s, 0.001))
        self._deadline.check()
        return self._open

    def request(self, *arguments: Any, **more: Any) -> Any:
        """Send the request once; a retry, as in the base class, could pile up a bundle twice."""
        return self.single_request(*arguments, **more)

    def parse_response(self, response: Any) -> Any:
        """Return the value of an answer that is not compressed.

        Raises `InfrastructureError` if it has more than `_MAX_ANSWER` bytes.
        """
        with response:
            content = response.read(_MAX_ANSWER + 1)
        if len(content) > _MAX_ANSWER:
            raise InfrastructureError(f"its answer has more than {_MAX_ANSWER >> 10} KiB")
        parser, unmarshaller = self.getparser()
        parser.feed(content)
        parser.close()
        return unmarshaller.close()

    def abort(self) -> None:
        """Shut the connection down; a call that blocks in another thread then raises."""
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
