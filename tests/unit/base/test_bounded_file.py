# SPDX-License-Identifier: MIT
"""A log that is flooded keeps its beginning and its end, and says what is missing between."""

from __future__ import annotations

import io
import json
import logging
import re
import resource
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from lava_vmgroup.base import bounded_file
from lava_vmgroup.base.bounded_file import BoundedFile
from lava_vmgroup.base.log import JsonLinesHandler, NodeLog
from lava_vmgroup.cli.output_txt import OutputText
from lava_vmgroup.console.recorder import Recorder

LIMIT = 10_000


def lines(count: int) -> list[bytes]:
    return [b"line %06d\n" % number for number in range(count)]


def test_a_small_log_is_kept_as_it_is(tmp_path: Path) -> None:
    log = BoundedFile(tmp_path / "log", limit=LIMIT)
    for line in lines(800):
        log.write(line)
    log.close()
    log.write(b"again\r\n\xff")
    log.close()

    assert (tmp_path / "log").read_bytes() == b"".join([*lines(800), b"again\r\n\xff"])


@pytest.mark.parametrize("count", [834, 5000, 123_456])
def test_a_flooded_log_keeps_its_first_half_and_its_newest_lines(
    tmp_path: Path, count: int
) -> None:
    path = tmp_path / "log"
    log = BoundedFile(path, limit=LIMIT)
    largest = 0
    for line in lines(count):
        log.write(line)
        largest = max(largest, path.stat().st_size)
    log.close()

    text = path.read_bytes()
    first, told, last = re.split(rb"\n\[lava_vmgroup: (\d+) bytes are left out here\]\n", text)
    everything = b"".join(lines(count))
    assert largest <= LIMIT
    assert len(first) > LIMIT // 2 - 20
    assert len(last) > LIMIT // 4 - 20
    assert everything.startswith(first)
    assert everything.endswith(last)
    assert last.startswith(b"line ")
    assert int(told) == len(everything) - len(first) - len(last)


def test_a_log_without_line_ends_is_bounded_too(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = BoundedFile(path, limit=LIMIT)
    for _ in range(50):
        log.write(b"x" * 1000)
    log.write(b"the end")
    log.close()

    assert path.stat().st_size <= LIMIT
    assert path.read_bytes().endswith(b"x" * 1000 + b"the end")


def test_what_is_left_of_the_events_is_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedFile.__init__, "__defaults__", (bounded_file.in_words, LIMIT))
    handler = JsonLinesHandler(tmp_path / "events.jsonl")
    for number in range(1000):
        handler.emit(logging.makeLogRecord({"msg": f"event {number}", "levelname": "INFO"}))
    handler.close()

    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    (left_out,) = [number for number, event in enumerate(events) if event["kind"] == "left-out"]
    numbers = [int(one["message"].split()[1]) for one in events if one["kind"] != "left-out"]
    assert numbers[:left_out] == list(range(left_out))
    assert numbers[left_out:] == list(range(1000 - len(numbers) + left_out, 1000))


def test_consoles_fill_neither_their_log_nor_its_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedFile.__init__, "__defaults__", (bounded_file.in_words, LIMIT))
    text = OutputText(tmp_path)
    recorder = Recorder(tmp_path / "console.log", text.console)
    for line in lines(3000):
        recorder.write(line)
    recorder.close()
    text.close()

    for name in ("console.log", "output.txt"):
        assert (tmp_path / name).stat().st_size <= LIMIT
        assert (tmp_path / name).read_bytes().endswith(lines(3000)[-1])


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Have no file of this process grow beyond `size`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_log_says_what_a_full_disk_did_not_take(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = BoundedFile(tmp_path / "log")
    log.write(b"before\n")
    with full_disk(12):
        log.write(b"too much\n")
        log.write(b"more\n")

    log.write(b"after\n")

    told = b"\n[lava_vmgroup: 14 bytes are left out here]\n"
    assert (tmp_path / "log").read_bytes() == b"before\n" + told + b"after\n"
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}/log is not complete: No space left on device"
    ]


def test_no_log_that_cannot_be_written_is_in_the_way_of_others(tmp_path: Path) -> None:
    for name in ("events.jsonl", "output.txt"):
        (tmp_path / name).symlink_to("/dev/full")
    handlers = (OutputText(tmp_path), JsonLinesHandler(tmp_path / "events.jsonl"))
    seen = io.StringIO()
    logger = logging.getLogger("lava_vmgroup")
    with ExitStack() as stack:
        for handler in (logging.StreamHandler(seen), *handlers):
            logger.addHandler(handler)
            stack.callback(logger.removeHandler, handler)

        NodeLog("node").warning("kind", "the node says something")

    assert "the node says something" in seen.getvalue()
    for name in ("events.jsonl", "output.txt"):
        assert f"{name} is not complete: No space left on device" in seen.getvalue()
