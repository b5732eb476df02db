# SPDX-License-Identifier: MIT
"""A LAVA dashboard's XML-RPC service on loopback, as far as bundles are submitted to it."""

import base64
import hashlib
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

USER, TOKEN = "lab user", "s3cr3t/t0k3n"


@dataclass(kw_only=True)
class Dashboard:
    """The submissions, and the behaviour of the service."""

    port: int = 0
    calls: list[str] = field(default_factory=list)
    scheme: str = "http"
    pending: dict[str, str] = field(default_factory=dict)
    """The file of each group."""
    published: list[dict[str, Any]] = field(default_factory=list)
    streams: list[str] = field(default_factory=list)
    fault: str | None = None
    """Refuse every call with these words."""
    drops: bool = False
    """Close the connection in the place of an answer."""
    silent: threading.Event | None = None
    """Give no answer before this is set."""
    asked: threading.Event = field(default_factory=threading.Event)
    """Set when the first call has come."""

    @property
    def server(self) -> str:
        """The service's URL without a token."""
        return f"{self.scheme}://lab%20user@localhost:{self.port}/RPC2/"

    def put_pending(self, content: str, stream: str, group: str) -> str:
        """Keep a bundle until its group is published; returns its SHA-1.

        Like LAVA's, it appends whatever comes to the group's file, with a line end.
        """
        self._called("put_pending", stream)
        self.pending[group] = f"{self.pending.get(group, '')}{content}\n"
        return hashlib.sha1(content.encode()).hexdigest()  # noqa: S324

    def put_group(self, content: str, name: str, stream: str, group: str) -> str:
        """Publish what was kept with this bundle; returns the URL."""
        self._called("put_group", stream)
        if group not in self.pending:
            raise Fault(1, f"no pending file for {group}")
        lines = self.pending[group].removesuffix("\n").split("\n")
        bundles = [*map(json.loads, lines), json.loads(content)]
        del self.pending[group]
        runs = [run for bundle in bundles for run in bundle["test_runs"]]
        return self._publish({"format": bundles[-1]["format"], "test_runs": runs}, name)

    def put_ex(self, content: str, name: str, stream: str) -> str:
        """Publish one bundle; returns the URL."""
        self._called("put_ex", stream)
        return self._publish(json.loads(content), name)

    def _called(self, method: str, stream: str) -> None:
        self.calls.append(method)
        self.streams.append(stream)
        self.asked.set()
        if self.silent is not None:
            self.silent.wait()
        if self.fault is not None:
            raise Fault(403, self.fault)

    def _publish(self, bundle: dict[str, Any], name: str) -> str:
        self.published.append(bundle)
        return f"http://localhost/bundles/{len(self.published)}-{name.replace(' ', '-')}/"


def self_signed(folder: Path) -> Path:
    """A certificate for localhost with its key, in one file that is its own CA bundle."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "localhost.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


class _Server(SimpleXMLRPCServer):
    """Says nothing of clients that leave in the midst of a handshake."""

    def handle_error(self, *_: object) -> None:
        return


@contextmanager
def dashboard(certificate: Path | None = None) -> Iterator[Dashboard]:
    """A dashboard that runs while the context lasts, on a port that the system picks.

    With a `certificate` it speaks HTTPS.
    """
    state = Dashboard(scheme="http" if certificate is None else "https")

    class Handler(SimpleXMLRPCRequestHandler):
        rpc_paths = ("/RPC2/",)

        def do_POST(self) -> None:  # noqa: N802
            """Answer a call of the one user there is."""
            given = self.headers.get("Authorization", "")
            if state.drops:
                state.calls.append("dropped")
                self.close_connection = True
            elif given != f"Basic {base64.b64encode(f'{USER}:{TOKEN}'.encode()).decode()}":
                self.send_error(401)
            else:
                super().do_POST()

    with _Server(("localhost", 0), Handler, logRequests=False) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        methods: tuple[Any, ...] = (state.put_pending, state.put_group, state.put_ex)
        for method in methods:
            server.register_function(method, f"dashboard.{method.__name__}")
        state.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield state
        finally:
            if state.silent is not None:
                state.silent.set()
            server.shutdown()
            thread.join()
