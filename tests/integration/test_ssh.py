# SPDX-License-Identifier: MIT
import dataclasses
import logging
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import DeadlineExpired, InfrastructureError, PeerFailed
from lava_vmgroup.base.log import LOGGER, NodeLog
from lava_vmgroup.connections.link import Link
from lava_vmgroup.connections.ssh import dial
from lava_vmgroup.connections.ssh_keys import JobKey
from lava_vmgroup.vms.store import ImageStore
from lava_vmgroup.vms.stored_file import StoredFile, stored
from tests.support.sshd import Server


def soon(token: CancelToken | None = None) -> Deadline:
    return Deadline.after("the test", 30.0, token)


@pytest.fixture
def link(sshd: Server) -> Iterator[Link]:
    with dial(sshd.address, sshd.key, soon()) as link:
        yield link


def test_words_of_a_command_arrive_as_they_are(link: Link) -> None:
    words = ["a b", "$HOME", "`id`", "'", '"', "*", "", "ä\n;"]

    output = link.check_run(["printf", "<%s>", *words], soon())

    assert output == "".join(f"<{word}>" for word in words)


def test_command_gets_its_input_and_tells_its_status(link: Link) -> None:
    data = os.urandom(300_000).hex().encode()

    result = link.run(["sh", "-c", "cat; echo oops >&2; exit 9"], soon(), stdin=data)

    assert result.status == 9
    assert "oops\n" in result.output  # the order of the two streams is sshd's
    assert result.output.replace("oops\n", "") == data.decode()
    with pytest.raises(InfrastructureError, match="ended with status 9") as caught:
        link.check_run(["sh", "-c", "echo why; exit 9"], soon())
    assert caught.value.last_lines == ("why",)


def test_stream_carries_bytes_both_ways_until_it_is_closed(link: Link) -> None:
    stream = link.open_stream(["cat"], soon())
    stream.write(b"\x00\xff raw", soon())
    data = stream.read()
    reader_saw: list[bytes] = []
    reader = threading.Thread(target=lambda: reader_saw.append(stream.read()))
    reader.start()

    stream.close()

    reader.join(30)
    assert (data, reader_saw) == (b"\x00\xff raw", [b""])


def test_cancel_ends_a_running_command(link: Link) -> None:
    token = CancelToken()
    threading.Timer(0.2, token.cancel, [PeerFailed("the host died")]).start()

    with pytest.raises(PeerFailed, match="the host died"):
        link.run(["sleep", "20"], soon(token))
    assert link.check_run(["echo", "still there"], soon()) == "still there\n"


def test_late_command_is_a_named_time_out(link: Link) -> None:
    with pytest.raises(DeadlineExpired, match="timed out: looking at the host, limit 0.3 s"):
        link.run(["sleep", "20"], Deadline.after("looking at the host", 0.3))


def test_zeros_of_a_file_are_not_sent_but_arrive(link: Link, tmp_path: Path) -> None:
    local, remote = tmp_path / "disk.img", tmp_path / "copy.img"
    with local.open("wb") as file:
        file.write(b"boot" * 1000)
        file.seek(20_000_000)
        file.write(b"data" * 1000)
        file.truncate(30_000_001)

    sent = link.put(local, str(remote), soon())

    assert remote.read_bytes() == local.read_bytes()
    assert sent < 300_000
    assert remote.stat().st_blocks * 512 < 1_000_000


def test_canceled_upload_leaves_the_link_usable(link: Link, tmp_path: Path) -> None:
    local = tmp_path / "big.img"
    local.write_bytes(os.urandom(20_000_000))
    token = CancelToken()

    def stop_halfway(done: int) -> None:
        if done > 10_000_000:
            token.cancel(PeerFailed("stop"))

    with pytest.raises(PeerFailed, match="stop"):
        link.put(local, str(tmp_path / "copy"), soon(token), stop_halfway)
    assert link.size_of(str(local), soon()) == 20_000_000


def test_other_host_key_is_refused(sshd: Server) -> None:
    address = dataclasses.replace(sshd.address, host_keys=(("ssh-ed25519", "AAAA"),))

    with pytest.raises(InfrastructureError, match="SSH host key that is not the board's"):
        dial(address, sshd.key, soon())


def test_unknown_key_is_refused(sshd: Server) -> None:
    with pytest.raises(InfrastructureError, match="refused the login"):
        dial(sshd.address, JobKey(), soon())


def test_host_without_ssh_is_refused_with_a_hint(sshd: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    address = dataclasses.replace(sshd.address, port=port)

    with pytest.raises(InfrastructureError, match=f"no SSH at 127.0.0.1:{port}") as caught:
        dial(address, sshd.key, Deadline.after("SSH to the host", 0.5))
    assert "openssh-server" in str(caught.value.hint)


def test_store_takes_each_content_once(sshd: Server, tmp_path: Path) -> None:
    image = tmp_path / "vm.img"
    image.write_bytes(b"image" * 100_000)
    store = ImageStore(str(tmp_path / "store"), "job")
    file = stored(image, soon())
    paths: list[str] = []

    def put(name: str) -> None:
        with dial(sshd.address, sshd.key, soon()) as link:
            paths.append(store.put(file, link, NodeLog(name), soon()))

    threads = [threading.Thread(target=put, args=(f"vm{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    (upload,) = store.uploads()
    assert set(paths) == {f"{tmp_path}/store/sha256/{file.digest}"}
    assert Path(paths[0]).read_bytes() == image.read_bytes()
    assert (upload.size, upload.bytes_sent) == (500_000, 500_000)
    assert sorted(upload.used_by) == ["vm0", "vm1", "vm2", "vm3"]


def test_store_uses_what_the_host_has_from_before(link: Link, tmp_path: Path) -> None:
    image = tmp_path / "vm.img"
    image.write_bytes(b"image" * 1000)
    file = stored(image, soon())
    ImageStore(str(tmp_path / "store"), "job1").put(file, link, NodeLog("vm1"), soon())
    second = ImageStore(str(tmp_path / "store"), "job2")

    second.put(file, link, NodeLog("vm1"), soon())

    assert [upload.bytes_sent for upload in second.uploads()] == [0]


class CancelOnProgress(logging.Handler):
    """Cancels a token as soon as somebody tells of progress."""

    def __init__(self, token: CancelToken) -> None:
        super().__init__()
        self._token = token

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "kind", "") == "progress":
            self._token.cancel(PeerFailed("stop"))


def test_broken_upload_leaves_nothing_in_the_store(link: Link, tmp_path: Path) -> None:
    image = tmp_path / "vm.img"
    image.write_bytes(os.urandom(5_000_000))
    store = ImageStore(str(tmp_path / "store"), "job")
    token = CancelToken()
    handler = CancelOnProgress(token)
    level = LOGGER.level
    LOGGER.setLevel(logging.DEBUG)
    LOGGER.addHandler(handler)
    try:
        with pytest.raises(PeerFailed, match="stop"):
            store.put(StoredFile(path=image, digest="digest"), link, NodeLog("vm1"), soon(token))
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(level)

    assert list((tmp_path / "store/sha256").iterdir()) == []


def test_the_start_of_a_file_is_read(link: Link, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "file").write_bytes(data)

    assert link.get_bytes(str(tmp_path / "file"), 2_000_001, soon()) == data[:2_000_001]
    assert link.get_bytes(str(tmp_path / "file"), 5_000_000, soon()) == data
    assert link.get_bytes(str(tmp_path / "file"), 0, soon()) == b""
    with pytest.raises(InfrastructureError, match="reading .*/none over"):
        link.get_bytes(str(tmp_path / "none"), 1, soon())


def test_host_without_sftp_is_refused_with_the_remedy(sshd: Server) -> None:
    sshd.offer_no_sftp()

    with (
        dial(sshd.address, sshd.key, soon()) as link,
        pytest.raises(InfrastructureError, match="offers no SFTP") as caught,
    ):
        link.size_of("/etc/passwd", soon())

    assert "openssh-sftp-server" in str(caught.value.hint)


def test_upload_whose_last_bytes_do_not_fit_fails(link: Link, sshd: Server, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(os.urandom(1_000_000))
    (tmp_path / "small").touch()
    sshd.limit_files(999_000)

    with pytest.raises(InfrastructureError, match="copying image"):
        link.put(tmp_path / "image", str(tmp_path / "there"), soon())
    with pytest.raises(InfrastructureError, match="writing"):
        link.put_bytes(os.urandom(1_000_000), str(tmp_path / "small"), soon())
