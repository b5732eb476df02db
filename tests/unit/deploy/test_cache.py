# SPDX-License-Identifier: MIT
import os
from pathlib import Path

import pytest

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.deploy.cache import Area, Cache

SIZE = 100_000


def add(cache: Cache, folder: Path, digest: str) -> Path:
    made = folder / "parts" / f"{digest}.part"
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_bytes(os.urandom(SIZE))
    return cache.add(Area.DOWNLOADS, digest, made)


def age(path: Path, seconds: int) -> None:
    os.utime(path, (seconds, seconds))


def test_least_recently_used_files_make_room(tmp_path: Path) -> None:
    with Cache(tmp_path, 10 * SIZE) as cache:
        for number, name in enumerate(("old", "older", "used")):
            age(add(cache, tmp_path, name), 2000 - 1000 * number)
    with Cache(tmp_path, 10 * SIZE) as cache:
        assert cache.find(Area.DOWNLOADS, "used") is not None  # the oldest until now
    with Cache(tmp_path, 3 * SIZE) as cache:
        new = add(cache, tmp_path, "new")

    assert sorted(path.name for path in new.parent.iterdir()) == ["new", "used"]


def test_what_another_job_uses_is_not_removed(tmp_path: Path) -> None:
    with Cache(tmp_path, 0) as other:
        path = add(other, tmp_path, "theirs")
        with Cache(tmp_path, 0) as cache:
            mine = add(cache, tmp_path, "mine")
            assert mine.exists()
        assert (path.exists(), mine.exists()) == (True, False)

    assert not path.exists()


def test_same_content_is_kept_once(tmp_path: Path) -> None:
    with Cache(tmp_path, 10 * SIZE) as first, Cache(tmp_path, 10 * SIZE) as second:
        path = add(first, tmp_path, "same")
        content = path.read_bytes()

        assert add(second, tmp_path, "same") == path
        assert path.read_bytes() == content
    assert list((tmp_path / "parts").iterdir()) == []


def test_abandoned_work_is_removed_like_old_files(tmp_path: Path) -> None:
    (tmp_path / "scratch/digest").mkdir(parents=True)
    (tmp_path / "scratch/digest/layer0").write_bytes(os.urandom(SIZE))
    age(tmp_path / "scratch/digest", 1000)

    with Cache(tmp_path, 2 * SIZE) as cache:
        add(cache, tmp_path, "new")

    assert list((tmp_path / "scratch").iterdir()) == []


def test_folder_that_cannot_be_written_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match="cannot write the cache folder .*file/parts"):
        Cache(tmp_path / "file", 0).folder("parts")
