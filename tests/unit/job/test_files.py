# SPDX-License-Identifier: MIT
"""A job's file is read whole, or refused with its place and before it fills the memory."""

import json
from pathlib import Path

import pytest

from lava_vmgroup.base.errors import JobError
from lava_vmgroup.job.load import load_document
from tests.unit.job.jobs import VALID, changed, parse, problems


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("job.json", '{"timeout": 1,}', r"job.json:1:15: not JSON"),
        ("job.json", '{"a": 1, "a": 2}', r"the key 'a' stands twice"),
        ("job.json", f"[{'9' * 5000}]", r"a number has too many digits"),
        ("job.yaml", "a: [1", r"job.yaml:1:6: not YAML"),
        ("job.yaml", "a: 1\nb: 2\na: 3", r"job.yaml:3:1: not YAML: the key 'a' stands twice"),
        ("job.yaml", f"timeout: {'9' * 5000}", r"job.yaml: .*digits"),
        ("job.yaml", "a: 1\n~: 2", r"job.yaml:2:1: not YAML: the key '~' is no text"),
        (
            "job.yaml",
            "a: 1\n!!binary aGVs: 2",
            r"job.yaml:2:1: not YAML: the key 'aGVs' is no text",
        ),
        ("job.json", "[" * 100000, r"nested too deeply"),
    ],
)
def test_broken_file_is_refused_with_its_place(
    tmp_path: Path, name: str, text: str, expected: str
) -> None:
    path = tmp_path / name
    path.write_text(text)

    with pytest.raises(JobError, match=expected):
        load_document(path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="cannot read the job file .*: No such file"):
        load_document(tmp_path / "none.json")


def test_yaml_gives_the_same_job_as_json(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(json.dumps(VALID))  # JSON is YAML too

    assert parse(load_document(path)) == parse(VALID)


def test_of_many_problems_some_are_told() -> None:
    many = {f"key{number}": 1 for number in range(5000)}

    found = problems({**VALID, **many})

    assert len(found) == 100


class Compared(dict[str, int]):
    """An item of a list that counts how often it is compared."""

    times = 0

    def __contains__(self, key: object) -> bool:
        Compared.times += 1
        return super().__contains__(key)


def test_items_that_stand_twice_are_found_without_a_look_at_each_pair() -> None:
    items = [Compared(n=number) for number in range(99)]

    found = problems({**VALID, "tags": [*items, {"n": 7}]})

    assert any(one.startswith("tags: expected no item twice") for one in found)
    assert Compared.times < 200
    assert problems({**VALID, "tags": ["a", "b", "a"]}) == (
        "tags: expected no item twice, got ['a', 'b', 'a']",
    )


@pytest.mark.parametrize("key", ["a\ud800", "a\0b"])
def test_a_key_that_no_file_can_hold_is_refused(key: str) -> None:
    document = changed("actions.3.metadata", {key: "x"})

    (problem,) = problems(document)

    assert "expected text without NUL and halves of characters" in problem


def test_a_job_of_too_many_values_is_refused_before_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text("[" + "[]," * 1_000_000 + "[]]")

    with pytest.raises(JobError, match="more than 1000000 values"):
        load_document(tmp_path / "job.json")


def test_a_job_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    with (tmp_path / "job.json").open("wb") as file:
        file.truncate(1 << 40)

    with pytest.raises(JobError, match="has more than 64 MiB"):
        load_document(tmp_path / "job.json")
