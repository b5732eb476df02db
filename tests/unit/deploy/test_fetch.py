# SPDX-License-Identifier: MIT
import hashlib
import os
import re
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import ConfigurationError, JobError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.config import files
from lava_vmgroup.config.dispatcher import load_dispatcher
from lava_vmgroup.deploy.fetch import JobFiles, reference_problems
from lava_vmgroup.job.reference import FileReference


def soon() -> Deadline:
    return Deadline.after("the test", 60.0)


def test_paths_and_file_urls_are_found_from_the_job_file(
    job_files: JobFiles, tmp_path: Path
) -> None:
    image = tmp_path / "my image.img"
    image.write_bytes(b"image")

    for url in ("my image.img", str(image), f"file://{tmp_path}/my%20image.img"):
        assert job_files.fetch(FileReference(url=url), soon(), NodeLog()) == image


def test_percent_sign_in_a_path_is_no_encoding(job_files: JobFiles, tmp_path: Path) -> None:
    for name in ("disk%2Bone.img", "disk+one.img", "100%.img"):
        (tmp_path / name).write_text(name)

    for url, name in (
        ("disk%2Bone.img", "disk%2Bone.img"),
        (f"{tmp_path}/100%.img", "100%.img"),
        (f"file://{tmp_path}/disk%2Bone.img", "disk+one.img"),
    ):
        fetched = job_files.fetch(FileReference(url=url), soon(), NodeLog())
        assert fetched.read_text() == name


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("none.img", "cannot read .*none.img: No such file"),
        (".", "Is a directory"),
        ("empty.img", "is empty"),
        ("ftp://server/x.img", "cannot fetch 'ftp://server/x.img' .*file:, http:, https: or scp:"),
        ("file://server/x.img", "it names a machine, 'server'"),
        ("http:///x.img", "the host is missing"),
        ("scp:///x.img", "the host is missing"),
        ("scp://-oProxyCommand=x/x.img", "the host is missing or no name"),
        ("scp://-oX@host/x.img", "'-oX' is no user's name"),
        ("scp://host", "the path is missing"),
        ("scp://host:x/x.img", "the port is no number"),
        ("http://host:99999/x.img", "the port is no number"),
        ("http://[::1/x.img", "Invalid IPv6 URL"),
        ("http://host/x%00.img", "it has a zero byte"),
        ("scp://me:secret@host/x.img", "scp://host/x.img: there is no place for a password"),
    ],
)
def test_unusable_reference_is_told_beforehand(
    reference: str, expected: str, tmp_path: Path
) -> None:
    (tmp_path / "empty.img").touch()

    (problem,) = reference_problems(FileReference(url=reference), tmp_path)

    assert re.search(expected, problem)


@pytest.mark.parametrize("algorithm", ["md5", "sha256", "sha512"])
def test_digest_is_compared_and_both_are_named(
    algorithm: str, job_files: JobFiles, tmp_path: Path
) -> None:
    (tmp_path / "a.img").write_bytes(b"image")
    right = hashlib.new(algorithm, b"image").hexdigest()
    wrong = hashlib.new(algorithm, b"other").hexdigest()

    def fetch(digest: str) -> Path:
        value = {"url": "a.img", f"{algorithm}sum": digest}
        return job_files.fetch(FileReference.of(value), soon(), NodeLog())

    assert fetch(right.upper()) == tmp_path / "a.img"
    with pytest.raises(JobError, match=f"{algorithm}sum is {right}, the job says {wrong}"):
        fetch(wrong)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("no comma", "expected regex,replacement"),
        ("[,x", "unterminated character set"),
        (r"a,\1", "invalid group reference"),
    ],
)
def test_broken_mapping_names_its_line(line: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "urlmappings.txt").write_text(f"# mirrors\n{line}\n")

    with pytest.raises(ConfigurationError, match=rf"urlmappings.txt, line 2: .*{expected}"):
        load_dispatcher(files.search_path(tmp_path))


def test_mapped_url_is_fetched_instead(tmp_path: Path) -> None:
    (tmp_path / "img").mkdir()
    (tmp_path / "img/a.img").write_bytes(b"image")
    (tmp_path / "urlmappings.txt").write_text(
        rf"http://[a-z]{{1,9}}\.example/(.*), file://{tmp_path}/\1" + "\n"
    )
    (tmp_path / "lava-dispatcher.conf").write_text(f"LAVA_CACHEDIR = {tmp_path}/cache\n")
    config = load_dispatcher(files.search_path(tmp_path))

    with JobFiles(tmp_path, config, tmp_path / "work") as job_files:
        reference = FileReference(url="http://server.example/img/a.img")
        path = job_files.fetch(reference, soon(), NodeLog())

    assert path == tmp_path / "img/a.img"


def test_secrets_of_a_url_are_not_shown() -> None:
    reference = FileReference(url="https://me:secret@host:8/x.img?token=secret")

    assert reference.shown == "https://host:8/x.img?..."


def test_a_pipe_or_a_device_is_not_even_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    for name in (f"{tmp_path}/pipe", "/dev/zero", "file:///dev/zero"):
        (problem,) = reference_problems(FileReference(url=name), tmp_path)
        assert problem.endswith("it is a pipe or a device")
