# SPDX-License-Identifier: MIT
"""A web server on loopback for files that need credentials; it is its own proxy."""

import base64
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit


def basic(user: str, password: str) -> str:
    """Return the header by which a client logs in."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


@dataclass(kw_only=True)
class PrivateWeb:
    """The server's files, and the requests that it got."""

    address: str
    folder: Path
    wanted: str
    """The value of Authorization that it wants."""
    on_request: Callable[[], None]
    """Called while the client waits."""
    requests: list[Message] = field(default_factory=list)
    """The headers of each request."""


class _Handler(BaseHTTPRequestHandler):
    web: PrivateWeb

    def do_GET(self) -> None:
        web = self.web
        web.on_request()
        web.requests.append(self.headers)
        path = web.folder / urlsplit(self.path).path.lstrip("/")
        if self.headers["Authorization"] != web.wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="files"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path.is_file():
            content = path.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        else:
            self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def private_web(folder: Path, wanted: str, on_request: Callable[[], None]) -> Iterator[PrivateWeb]:
    """The server for the files in `folder`, while the context lasts."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        address = f"127.0.0.1:{server.server_address[1]}"
        made = PrivateWeb(address=address, folder=folder, wanted=wanted, on_request=on_request)
        server.RequestHandlerClass = type("Handler", (_Handler,), {"web": made})
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
