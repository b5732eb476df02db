# SPDX-License-Identifier: MIT
"""Downloads from a real web server and a real SSH server on loopback."""

import gzip
import hashlib
import json
import logging
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, JobError, PeerFailed
from lava_vmgroup.base.log import LOGGER, NodeLog
from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.deploy import http
from lava_vmgroup.deploy.fetch import JobFiles
from lava_vmgroup.deploy.http import HttpClient
from lava_vmgroup.deploy.part import Partial
from lava_vmgroup.deploy.unpack import Unpack
from lava_vmgroup.job.reference import FileReference
from tests.integration.downloads import DATA, SHA256, download, job, kept, soon
from tests.support.http_server import Site


def test_interrupted_download_goes_on_where_it_was(site: Site, tmp_path: Path) -> None:
    site.files["a.img"] = DATA
    site.break_off = [15 << 16, 8 << 16]

    with job(tmp_path) as files:
        path = download(files, f"{site.url}/a.img")
        assert path.name == "a.img"
        assert path.read_bytes() == DATA

    assert site.asked("Range") == [None, f"bytes={15 << 16}-", f"bytes={23 << 16}-"]


def test_next_job_goes_on_with_what_a_canceled_one_has(site: Site, tmp_path: Path) -> None:
    site.files["a.img"] = DATA
    site.stall = threading.Event()
    token = CancelToken()
    threading.Timer(0.5, token.cancel, [PeerFailed("the host died")]).start()
    deadline = Deadline.after("the silent server", 20.0, token)
    with job(tmp_path) as files, pytest.raises(PeerFailed, match="the host died"):
        files.fetch(FileReference(url=f"{site.url}/a.img"), deadline, NodeLog())
    assert not deadline.expired
    site.stall.set()
    site.stall = None

    with job(tmp_path) as files:
        assert download(files, f"{site.url}/a.img").read_bytes() == DATA

    first, second = site.asked("Range")
    assert first is None
    assert second is not None
    assert 1_000_000 < int(second.strip("bytes=-")) <= 1_500_000


def test_whole_download_of_a_killed_job_is_used(site: Site, tmp_path: Path) -> None:
    site.files["a.img"] = DATA
    reference = FileReference(url=f"{site.url}/a.img")
    parts = tmp_path / "cache/parts"
    parts.mkdir(parents=True)
    part = Partial(parts / f"{hashlib.sha256(reference.url.encode()).hexdigest()}.part")
    HttpClient(DispatcherConfig()).download(reference, part, None, soon(), NodeLog())

    with job(tmp_path) as files:
        assert download(files, reference.url).read_bytes() == DATA

    assert site.asked("Range") == [None, f"bytes={len(DATA)}-"]
    assert kept(tmp_path) == [SHA256]


@pytest.mark.parametrize("ignores_if_range", [False, True])
def test_file_that_changed_meanwhile_is_begun_anew(
    ignores_if_range: bool, site: Site, tmp_path: Path
) -> None:
    site.ignores_if_range = ignores_if_range
    site.files["a.img"] = os.urandom(2_000_000)
    site.break_off = [1_000_000]

    def change(record: logging.LogRecord) -> bool:
        if record.getMessage().startswith("trouble with"):
            site.files["a.img"] = DATA
        return True

    LOGGER.addFilter(change)
    try:
        with job(tmp_path) as files:
            assert download(files, f"{site.url}/a.img").read_bytes() == DATA
    finally:
        LOGGER.removeFilter(change)


@pytest.mark.parametrize("lacking", ["with_etag", "with_ranges"])
def test_server_that_cannot_go_on_begins_anew(lacking: str, site: Site, tmp_path: Path) -> None:
    setattr(site, lacking, False)
    site.files["a.img"] = DATA
    site.break_off = [1_000_000]

    with job(tmp_path) as files:
        assert download(files, f"{site.url}/a.img").read_bytes() == DATA


def test_unchanged_file_is_not_sent_again(site: Site, tmp_path: Path) -> None:
    site.files["a.img"] = DATA
    for _ in range(2):
        with job(tmp_path) as files:
            assert download(files, f"{site.url}/a.img").read_bytes() == DATA
    assert [bool(etag) for etag in site.asked("If-None-Match")] == [False, True]
    assert site.asked("Range") == [None, None]

    site.files["a.img"] = b"new"
    with job(tmp_path) as files:
        assert download(files, f"{site.url}/a.img").read_bytes() == b"new"


def test_note_of_another_program_is_none(site: Site, tmp_path: Path) -> None:
    site.files["a.img"] = DATA
    with job(tmp_path) as files:
        download(files, f"{site.url}/a.img")
    (note,) = (path for path in tmp_path.rglob("urls/*") if path.is_file())
    note.write_text(json.dumps({**json.loads(note.read_text()), "of_another": "x"}))

    with job(tmp_path) as files:
        assert download(files, f"{site.url}/a.img").read_bytes() == DATA


def test_known_content_needs_no_request(site: Site, tmp_path: Path) -> None:
    site.files["a.img"] = DATA
    with job(tmp_path) as files:
        download(files, f"{site.url}/a.img")

        path = download(files, f"{site.url}/elsewhere/b.img", sha256sum=SHA256)

    assert (path.name, len(site.requests)) == ("b.img", 1)


def test_wrong_content_is_refused_and_not_kept(site: Site, tmp_path: Path) -> None:
    site.files["a.img"] = DATA
    wrong = "0" * 64

    with job(tmp_path) as files:
        for _ in range(2):
            with pytest.raises(JobError, match=f"is {SHA256}, the job says {wrong}"):
                download(files, f"{site.url}/a.img", sha256sum=wrong)

    assert kept(tmp_path) == []
    assert len(site.requests) == 1  # what is wrong with the job is wrong for every node


def test_nodes_that_want_the_same_image_download_and_unpack_it_once(
    site: Site, tmp_path: Path
) -> None:
    site.files["a.img.gz"] = gzip.compress(DATA)
    paths: list[Path] = []

    def fetch(files: JobFiles) -> None:
        reference = FileReference(url=f"{site.url}/a.img.gz")
        paths.append(files.fetch(reference, soon(), NodeLog(), Unpack.DISK))

    with job(tmp_path) as first, job(tmp_path) as second:
        threads = [
            threading.Thread(target=fetch, args=(files,)) for files in (first, first, second)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [path.read_bytes() for path in paths] == [DATA] * 3
        assert len({path.resolve() for path in paths}) == 1

    # the other job asks once more whether its file is still the newest
    bodies = [etag for etag in site.asked("If-None-Match") if etag is None]
    assert (len(bodies), len(site.requests)) == (1, 2)


def test_passing_trouble_of_the_server_is_sat_out(site: Site, tmp_path: Path) -> None:
    site.files["a.img"] = DATA
    site.refuse = [503, 429]

    with job(tmp_path) as files:
        assert download(files, f"{site.url}/a.img").read_bytes() == DATA


@pytest.mark.parametrize("status", [403, 404, 410])
def test_refused_file_is_the_jobs_fault_at_once(status: int, site: Site, tmp_path: Path) -> None:
    site.refuse = [status]

    with job(tmp_path) as files, pytest.raises(JobError, match=f"a.img: HTTP status {status}"):
        download(files, f"{site.url}/a.img")
    assert len(site.requests) == 1


def test_server_that_stays_away_is_the_labs_fault(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = HttpClient(DispatcherConfig(), patience_s=0.1)
    reference = FileReference(url=f"http://127.0.0.1:{port}/a.img")

    with pytest.raises(InfrastructureError, match=f"cannot download {reference.url}: .*refused"):
        client.download(reference, Partial(tmp_path / "a.part"), None, soon(), NodeLog())


def test_files_own_compression_is_not_undone(site: Site, tmp_path: Path) -> None:
    packed = gzip.compress(DATA)
    site.files["initrd.gz"] = packed
    site.headers["Content-Encoding"] = "gzip"

    with job(tmp_path) as files:
        assert download(files, f"{site.url}/initrd.gz").read_bytes() == packed


def test_cookies_and_proxy_of_the_dispatcher_are_used(site: Site, tmp_path: Path) -> None:
    site.files["a.img"] = b"direct"
    site.files["http://server.example/a.img"] = b"by proxy"
    config = {"lava_cookies": "key=value", "lava_proxy": site.url, "lava_no_proxy": "127.0.0.1"}

    with job(tmp_path, **config) as files:
        by_proxy = download(files, "http://server.example/a.img").read_bytes()
        direct = download(files, f"{site.url}/a.img").read_bytes()

    assert (by_proxy, direct) == (b"by proxy", b"direct")
    assert site.asked("Cookie") == ["key=value", "key=value"]


class Told(logging.Handler):
    """Keeps the progress events."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "kind", "") == "progress":
            self.events.append(record.__dict__["fields"])


def test_progress_is_told(site: Site, tmp_path: Path) -> None:
    site.files["a.img"] = DATA
    told, level = Told(), LOGGER.level
    LOGGER.addHandler(told)
    LOGGER.setLevel(logging.DEBUG)
    try:
        with job(tmp_path) as files:
            download(files, f"{site.url}/a.img")
    finally:
        LOGGER.removeHandler(told)
        LOGGER.setLevel(level)

    assert {"what": "a.img", "done": len(DATA), "total": len(DATA)} in told.events


def test_what_a_server_does_not_implement_is_not_tried_again(site: Site, tmp_path: Path) -> None:
    site.files["a.img"] = DATA
    site.refuse = [501]

    with job(tmp_path) as files, pytest.raises(JobError, match="HTTP status 501"):
        download(files, f"{site.url}/a.img")
    assert len(site.requests) == 1


def test_server_that_nobody_knows_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", find)

    with job(tmp_path) as files, pytest.raises(InfrastructureError, match="no host 'nowhere'"):
        download(files, "http://nowhere/a.img")


@pytest.mark.parametrize("length", ["\u00b2", "9" * 5000, "-5", "many"])
def test_a_length_that_is_no_number_is_left_alone(length: str, site: Site, tmp_path: Path) -> None:
    site.files["a.img"] = DATA
    site.length = length

    with job(tmp_path) as files:
        assert download(files, f"{site.url}/a.img").read_bytes() == DATA


def test_a_download_without_end_is_given_up(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.files["a.img"] = DATA
    monkeypatch.setattr(http, "MAX_DOWNLOAD", 1_000_000)

    with job(tmp_path) as files, pytest.raises(JobError, match="a.img has more than 0 GiB"):
        download(files, f"{site.url}/a.img")

    assert kept(tmp_path) == []


def test_a_redirection_to_nowhere_is_told(site: Site, tmp_path: Path) -> None:
    site.redirect = "http://[::1/"

    with (
        job(tmp_path) as files,
        pytest.raises((JobError, InfrastructureError), match="cannot download"),
    ):
        download(files, f"{site.url}/a.img")
