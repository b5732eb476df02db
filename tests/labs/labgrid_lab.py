# SPDX-License-Identifier: MIT
"""labgrid's own coordinator, exporter and client, with places for tests."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

from tests.support.lab import EMULATED_BOARD, Lab, lab

CACHE = Path(os.environ.get("LAVA_VMGROUP_CACHE") or Path.home() / ".cache/lava-vmgroup")
BIN = CACHE / "lava-lab/labgrid/bin"
PLACE = "board01"
_UP_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Labgrid:
    """A running coordinator."""

    address: str
    folder: Path
    process: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        """Start the coordinator, and wait until it answers."""
        program = BIN / "labgrid-coordinator"
        assert program.exists(), f"{program} is missing; run: make test-labs"
        self.process.append(subprocess.Popen([program, "-l", self.address], cwd=self.folder))
        limit = time.monotonic() + _UP_S
        while self.human("places").returncode != 0:
            assert time.monotonic() < limit, "labgrid's coordinator did not come up"
            time.sleep(0.2)

    def stop(self) -> None:
        """End the coordinator."""
        process = self.process.pop()
        process.terminate()
        process.wait(30)

    def restart(self) -> None:
        """End the coordinator once it has saved its places, and start it again."""
        limit = time.monotonic() + _UP_S
        saved = self.folder / "places.yaml"
        while not saved.exists() or PLACE not in saved.read_text():
            assert time.monotonic() < limit, "labgrid's coordinator did not save its places"
            time.sleep(0.2)
        self.stop()
        self.start()

    @property
    def client(self) -> str:
        """The command of its client."""
        return f"{BIN / 'labgrid-client'} -x {self.address}"

    def human(self, *words: str, place: str = PLACE) -> subprocess.CompletedProcess[str]:
        """A command of somebody at another machine."""
        environment = {**os.environ, "LG_USERNAME": "human", "LG_HOSTNAME": "desk"}
        command = [*self.client.split(), "-p", place, *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    def holder(self, place: str = PLACE) -> str:
        """The host and the user who have a place, or "None"."""
        shown = self.human("show", place=place).stdout
        found = re.search(r"acquired: (.*)", shown)
        assert found is not None, shown
        return found[1]

    def until(self, wanted: str, place: str = PLACE) -> None:
        """Wait until the place's holder is wanted, a regex."""
        limit = time.monotonic() + 120
        while not re.fullmatch(wanted, holder := self.holder(place)):
            assert time.monotonic() < limit, holder
            time.sleep(0.2)


@contextmanager
def coordinator(folder: Path, *places: str) -> Iterator[Labgrid]:
    """A coordinator with places, each tagged ``board=emulated``."""
    folder.mkdir()
    made = Labgrid(address=f"127.0.0.1:{_free_port()}", folder=folder)
    made.start()
    try:
        for place in places:
            for words in (["create"], ["set-tags", "board=emulated"]):
                done = made.human(*words, place=place)
                assert done.returncode == 0, done.stderr
        yield made
    finally:
        made.stop()


@contextmanager
def board_of(labgrid: Labgrid, folder: Path) -> Iterator[Lab]:
    """A lab whose emulated board is a place of labgrid's: its console, and its power switch."""
    with ExitStack() as using:
        made = using.enter_context(lab(folder))
        program = [sys.executable, str(EMULATED_BOARD / "board.py")]
        port, relay = _free_port(), using.enter_context(_relay(program, made.board))
        console = " ".join([*program, "console", str(made.board)])
        listen = f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork"
        using.enter_context(_running(["socat", listen, f"EXEC:{console}"], folder))
        exported = {
            PLACE: {
                "NetworkSerialPort": {"host": "127.0.0.1", "port": port, "protocol": "raw"},
                "NetworkPowerPort": {
                    "model": "simplerest",
                    "host": f"http://127.0.0.1:{relay}/{{index}}/{{value}}",
                    "index": 0,
                },
            }
        }
        (folder / "exporter.yaml").write_text(yaml.safe_dump(exported))
        exporter = [str(BIN / "labgrid-exporter"), "-c", labgrid.address, "exporter.yaml"]
        using.enter_context(_running(exporter, folder))
        assert labgrid.human("add-match", f"*/{PLACE}/*").returncode == 0
        limit = time.monotonic() + _UP_S
        while "NetworkPowerPort" not in labgrid.human("resources").stdout:
            assert time.monotonic() < limit, "labgrid's exporter did not come up"
            time.sleep(0.2)
        yield made


@contextmanager
def _running(command: Sequence[str | Path], folder: Path) -> Iterator[None]:
    assert shutil.which(command[0]), f"{command[0]} is missing; run: make test-labs"
    process = subprocess.Popen(command, cwd=folder)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def _relay(program: list[str], board: Path) -> Iterator[int]:
    """A relay with a web page for each state, as labgrid's ``simplerest`` wants it; gives its port.

    labgrid's own driver switches it in these tests, so it is held to that.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            word = {"1": "on", "0": "off"}[self.path.rpartition("/")[2]]
            done = subprocess.run([*program, word, str(board)], check=False)
            self.send_response(200 if done.returncode == 0 else 500)
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
