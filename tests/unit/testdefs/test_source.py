# SPDX-License-Identifier: MIT
"""The source of a test definition, in v1's words and in today's."""

from __future__ import annotations

from typing import Any

import pytest

from lava_vmgroup.base.errors import JobError
from lava_vmgroup.testdefs.source import Source, SourceKind, parse_source

INLINE = {"metadata": {"name": "a"}, "run": {"steps": []}}


@pytest.mark.parametrize(
    ("entry", "source"),
    [
        (
            {
                "git-repo": "https://lab/x.git",
                "testdef": "a/b.yaml",
                "revision": "v1",
                "branch": "main",
                "parameters": {"A": 1, "B": None},
            },
            Source(
                kind=SourceKind.GIT,
                location="https://lab/x.git",
                testdef="a/b.yaml",
                revision="v1",
                branch="main",
                parameters={"A": "1", "B": ""},
            ),
        ),
        ({"git-repo": "x"}, Source(kind=SourceKind.GIT, location="x", testdef="lavatest.yaml")),
        (
            {"bzr-repo": "lp:x", "revision": -1},
            Source(kind=SourceKind.BZR, location="lp:x", revision="-1"),
        ),
        ({"tar-repo": "QUJD"}, Source(kind=SourceKind.TAR, location="QUJD")),
        ({"url": "http://lab/x"}, Source(kind=SourceKind.URL, location="http://lab/x")),
        (
            {"from": "git", "repository": "x", "path": "a.yaml", "name": "smoke"},
            Source(kind=SourceKind.GIT, location="x", testdef="a.yaml", name="smoke"),
        ),
        (
            {"from": "inline", "repository": INLINE, "path": "inline/a.yaml", "name": "b"},
            Source(kind=SourceKind.INLINE, testdef="inline/a.yaml", name="b", inline=INLINE),
        ),
    ],
)
def test_an_entry_is_understood(entry: dict[str, Any], source: Source) -> None:
    assert parse_source(entry) == source


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (
            {"testdef": "x"},
            "expected exactly one of git-repo, bzr-repo, tar-repo, url, from, found none of them",
        ),
        (
            {"git-repo": "x", "url": "y"},
            "expected exactly one of git-repo, bzr-repo, tar-repo, url, from, "
            "found git-repo and url",
        ),
        (
            {"git-repo": "x", "repository": "y"},
            "repository: goes with from, not with git-repo; remove one of the two",
        ),
        ({"from": "git"}, "repository: expected text that says where the git source is"),
        (
            {"from": "inline", "repository": "x"},
            "repository: expected the test definition itself, a mapping with metadata and run",
        ),
        (
            {"git-repo": "x", "testdef": "a", "path": "b"},
            "path: another word for testdef; give one of the two",
        ),
        (
            {"git-repo": "x", "testdef": "/etc/x"},
            "testdef: expected a path inside the repository, found '/etc/x'",
        ),
        (
            {"git-repo": "x", "testdef": "a/../../x"},
            "testdef: expected a path inside the repository, found 'a/../../x'",
        ),
        (
            {"git-repo": "x", "revision": "--upload-pack=x"},
            "revision: must not begin with '-', found '--upload-pack=x'",
        ),
        (
            {"from": "inline", "repository": INLINE, "name": "a b"},
            "name: expected a name without blanks and $&()\"'<>/\\|;`, found ' ' at 1",
        ),
        ({"git-repo": "x", "branch": "-x"}, "branch: must not begin with '-', found '-x'"),
        ({"git-repo": "x", "revision": ["y"]}, "revision: expected text or a number, found ['y']"),
        (
            {"git-repo": "x", "parameters": {"A;B": "x"}},
            "parameters.A;B: expected a shell variable's name: letters, digits and _",
        ),
        (
            {"git-repo": "x", "parameters": {"A": {"b": 1}}},
            "parameters.A: expected text or a number, found {'b': 1}",
        ),
    ],
)
def test_an_entry_that_cannot_work_is_refused(entry: dict[str, Any], problem: str) -> None:
    with pytest.raises(JobError) as caught:
        parse_source(entry)

    assert caught.value.problems == (problem,)
