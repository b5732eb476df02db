# SPDX-License-Identifier: MIT
"""A web server on loopback that does what a download may meet."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class Site:
    """The server's files, its misbehaviour and the requests that it got."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, Message]] = field(default_factory=list)
    """Path and headers of each request."""
    break_off: list[int] = field(default_factory=list)
    """For each of the next answers, after how many bytes of its body it ends."""
    refuse: list[int] = field(default_factory=list)
    """The HTTP status of each of the next answers."""
    headers: dict[str, str] = field(default_factory=dict)
    """Added to every answer with a file."""
    redirect: str | None = None
    """The Location of every answer."""
    length: str | None = None
    """The Content-Length of every answer."""
    with_etag: bool = True
    with_ranges: bool = True
    ignores_if_range: bool = False
    stall: threading.Event | None = None
    """Event for which an answer waits after half of its body."""

    def asked(self, header: str) -> list[str | None]:
        """Return the value of a header in each request."""
        return [headers[header] for _, headers in self.requests]


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site = self.site
        site.requests.append((self.path, self.headers))
        name = self.path.partition("?")[0].lstrip("/")
        if site.redirect is not None:
            self.send_response(302)
            self.send_header("Location", site.redirect)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif site.refuse:
            self.send_error(site.refuse.pop(0))
        elif name not in site.files:
            self.send_error(404)
        else:
            self._send(site.files[name])

    def _send(self, data: bytes) -> None:
        site = self.site
        etag = f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
        if site.with_etag and self.headers["If-None-Match"] == etag:
            self.send_response(304)
            self.end_headers()
            return
        start = 0
        unchanged = self.headers["If-Range"] in (None, etag) or site.ignores_if_range
        if site.with_ranges and self.headers["Range"] and unchanged:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        if start >= len(data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if site.with_etag:
            self.send_header("ETag", etag)
        for key, value in site.headers.items():
            self.send_header(key, value)
        body = data[start:]
        self.send_header("Content-Length", site.length or str(len(body)))
        self.end_headers()
        self._write(body)

    def _write(self, body: bytes) -> None:
        site = self.site
        if site.break_off:
            body = body[: site.break_off.pop(0)]
        half = len(body) // 2 if site.stall else len(body)
        self.wfile.write(body[:half])
        if site.stall is not None:
            self.wfile.flush()
            site.stall.wait(60)
            return
        self.wfile.write(body[half:])

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[Site]:
    """A web server of the test's own."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        made = Site(url=f"http://127.0.0.1:{server.server_address[1]}")
        server.RequestHandlerClass = type("Handler", (_Handler,), {"site": made})
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield made
        if made.stall is not None:
            made.stall.set()
        server.shutdown()
        thread.join()
