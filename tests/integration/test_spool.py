# SPDX-License-Identifier: MIT
"""The output of a program on the host arrives whole, even if the connection drops."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.connections.link import Link
from lava_vmgroup.connections.ssh import dial
from lava_vmgroup.connections.stream import ByteStream
from lava_vmgroup.vms import spool as spool_module
from lava_vmgroup.vms.folder import VMFolder
from lava_vmgroup.vms.spool import Spool, SpooledStream
from lava_vmgroup.vms.supervisor import Supervisor
from tests.support.local_lab import only_programs
from tests.support.processes import is_running, until
from tests.support.relay import Relay, relay
from tests.support.sshd import Server
from tests.support.supervised import supervised

TALKER = """
import os, time
out, into = os.open("console.out", os.O_RDWR), os.open("console.in", os.O_RDWR)
for number in range(3000):
    os.write(out, b"line %d\\n" % number)
    if number % 100 == 0:
        time.sleep(0.02)
while True:
    said = os.read(into, 100)
    os.write(out, b"heard " + said)
    if b"enough" in said:
        break
"""
"""Does with its console what QEMU does."""


@dataclass(frozen=True, kw_only=True)
class Far:
    """A host behind a network that may fail."""

    network: Relay
    link: Link
    folder: VMFolder


def soon() -> Deadline:
    return Deadline.after("the test", 60.0)


@pytest.fixture
def far(sshd: Server, tmp_path: Path) -> Iterator[Far]:
    with supervised(sshd, tmp_path / "vms", "1") as supervisor, relay(sshd.address.port) as network:
        yield from behind(network, sshd, supervisor)


def behind(network: Relay, sshd: Server, supervisor: Supervisor) -> Iterator[Far]:
    address = replace(sshd.address, port=network.port, patience_s=20)
    with dial(address, sshd.key, soon()) as link:
        folder = VMFolder("vm1", supervisor, link)
        folder.make({}, soon())
        yield Far(network=network, link=link, folder=folder)
        with dial(sshd.address, sshd.key, soon()) as near:
            VMFolder("vm1", supervisor, near).remove(soon())


def everything(stream: ByteStream) -> bytes:
    return b"".join(iter(stream.read, b""))


def until_seen(stream: ByteStream, wanted: bytes, seen: bytes = b"") -> bytes:
    """All that a stream has said, `seen` and more, as soon as it has `wanted`."""
    while wanted not in seen:
        chunk = stream.read()
        assert chunk, f"the stream ended after {seen[-200:]!r}"
        seen += chunk
    return seen


def hearing(stream: ByteStream) -> list[bytes]:
    """Return a list that grows with the stream's output from now on."""
    told: list[bytes] = []
    threading.Thread(target=lambda: told.extend(iter(stream.read, b"")), daemon=True).start()
    return told


LINES = b"".join(b"line %d\n" % number for number in range(3000))


def test_console_of_a_program_goes_on_over_the_next_connection(far: Far) -> None:
    console = far.folder.start([sys.executable, "-c", TALKER], soon())

    seen = until_seen(console, b"line 150\n")
    far.network.cut()
    seen = until_seen(console, b"line 1500\n", seen)
    far.network.cut()
    seen = until_seen(console, b"line 2999\n", seen)
    assert seen == LINES
    far.network.cut()
    told = hearing(console)
    # Bytes that are under way when a connection breaks off may be lost, so repeat them.
    while b"heard first\n" not in b"".join(told):
        console.write(b"first\n", soon())
        time.sleep(0.5)
    console.write(b"enough\n", soon())
    until(lambda: b"".join(told).endswith(b"heard enough\n"))


@pytest.mark.parametrize("forwarded", [1, 100, 200, 300, 500, 700, 900])
def test_stream_begins_although_the_connection_breaks_off_meanwhile(
    far: Far, forwarded: int
) -> None:
    Path(far.folder.path, "records.out").write_bytes(LINES)

    far.network.cut_after(forwarded)
    records = far.folder.records(0, soon())

    assert until_seen(records, b"line 2999\n") == LINES
    records.close()


def test_console_ends_with_its_program_and_tells_what_that_said_last(far: Far) -> None:
    words = ["sh", "-c", "echo last words >>console.out; echo no such machine >&2; exit 1"]

    console = far.folder.start(words, soon())

    assert everything(console) == b"last words\n"
    assert far.folder.complaints(soon()) == ["no such machine"]


@pytest.fixture
def bare(sshd: Server, tmp_path: Path) -> Iterator[Far]:
    """A host with no tools but busybox's, whose tail does not know how to follow a process."""
    applets = "cat cp env fallocate kill mkdir mkfifo mv rm rmdir sed setsid sleep sync tail tar"
    busybox = dict.fromkeys(
        (*applets.split(), "truncate", "grep"), '#!/bin/sh\nexec /bin/busybox ${0##*/} "$@"\n'
    )
    only_programs(sshd, lambda name: name in ("sh", "python3", "python3.11"), busybox)
    with supervised(sshd, tmp_path / "vms", "1") as supervisor, relay(sshd.address.port) as network:
        yield from behind(network, sshd, supervisor)


def test_busybox_is_enough_for_that(bare: Far) -> None:
    test_console_of_a_program_goes_on_over_the_next_connection(bare)


def test_stream_without_a_program_lasts_until_it_is_closed_and_leaves_nothing(far: Far) -> None:
    (record, later) = (b"a record\n", b"a later one\n")
    stream = far.folder.records(0, soon())
    path = Path(far.folder.path) / "records.out"
    path.write_bytes(record)
    assert until_seen(stream, record) == record
    reader_saw: list[bytes] = []
    reader = threading.Thread(target=lambda: reader_saw.append(stream.read()))
    reader.start()

    stream.close()
    reader.join(30)
    until(lambda: followers(path) == [])
    with path.open("ab") as file:
        file.write(later)

    assert reader_saw == [b""]
    assert until_seen(far.folder.records(stream.position, soon()), later) == later


def test_busybox_leaves_nothing_either(bare: Far) -> None:
    test_stream_without_a_program_lasts_until_it_is_closed_and_leaves_nothing(bare)


def followers(path: Path) -> list[str]:
    """The processes at work in a file's folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == path.parent:
                found.append(process.name)
        except OSError:
            continue
    return found


def test_room_of_what_was_read_is_given_back(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "_ROOM_BYTES", 1 << 20)
    path = Path(far.folder.path) / "records.out"
    content = os.urandom(1 << 20) * 4
    path.write_bytes(content)

    stream = far.folder.records(0, soon())
    seen = b""
    while len(seen) < len(content):
        seen += stream.read()

    assert seen == content
    assert path.stat().st_blocks * 512 < 3 << 20
    stream.close()


def test_host_that_does_not_come_back_ends_the_stream(sshd: Server, tmp_path: Path) -> None:
    with supervised(sshd, tmp_path / "vms", "1") as supervisor, relay(sshd.address.port) as network:
        address = replace(sshd.address, port=network.port, patience_s=1)
        with dial(address, sshd.key, soon()) as link:
            spool = Spool(folder=supervisor.folder, file=".supervisor/beat", mark="A=b")
            stream = SpooledStream(spool, link, soon())
            network.close()

            assert everything(stream) == b""
            with pytest.raises(InfrastructureError, match="the console connection is closed"):
                stream.write(b"typed\n", soon())


def test_program_may_not_fill_the_host_without_end(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lava_vmgroup.vms.folder._SPOOL_BYTES", 1 << 20)
    # Its own overlay disk is the largest file that it may write.
    monkeypatch.setattr("lava_vmgroup.vms.folder.DISK_BYTES", 32 << 20)

    console = far.folder.start(["sh", "-c", "yes >>console.out"], soon(), disk_bytes=1)

    assert len(everything(console)) == (1 << 20) + (32 << 20)


def test_program_is_ended_with_its_folder(far: Far) -> None:
    console = far.folder.start(["sleep", "1000"], soon())
    pid = int((Path(far.folder.path) / "pid").read_text())
    assert is_running(pid)

    far.folder.remove(soon())

    assert everything(console) == b""
    assert not is_running(pid)
    assert subprocess.run(["pgrep", "-f", far.folder.path], check=False).returncode == 1
