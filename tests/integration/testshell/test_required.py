# SPDX-License-Identifier: MIT
"""Requirements of a test definition: repositories to install and tests to run before."""

from __future__ import annotations

from pathlib import Path

import pytest

from lava_vmgroup.base.errors import (
    JobError,
)
from lava_vmgroup.testdefs.loading import DefinitionLoader
from lava_vmgroup.testdefs.source import Source, SourceKind, parse_source
from lava_vmgroup.testdefs.steps import SkipInstall
from tests.support.repositories import Repository, contents, definition

LIMIT_S = 60.0


def url(path: Path) -> Source:
    return Source(kind=SourceKind.URL, location=str(path))


def test_repositories_to_install_go_into_the_tests_directory(
    repository: Repository, loader: DefinitionLoader, tmp_path: Path
) -> None:
    tool = Repository(tmp_path / "tool.git")
    tool.commit({"tool": "old"})
    tool.git("branch", "stable")
    commit = tool.commit({"tool": "new"})
    repos = [
        str(tool.folder),
        {"url": "tool.git", "branch": "BRANCH", "destination": "in/there"},
        {"url": "tool.git", "destination": "WHERE"},
        {"url": "no-such", "skip_by_default": True},
        {"url": "no-such", "skip_by_default": "SKIP"},
    ]
    params = {"BRANCH": "main", "WHERE": "elsewhere", "SKIP": "False"}
    repository.commit(
        {"lavatest.yaml": definition("smoke", params=params, install={"git-repos": repos})}
    )

    (test,) = loader.load(
        parse_source({"git-repo": "tests.git", "parameters": {"BRANCH": "stable", "SKIP": True}})
    )

    assert contents(test).keys() == {
        "lavatest.yaml",
        "tool/tool",
        "in/there/tool",
        "elsewhere/tool",
    }
    assert contents(test)["in/there/tool"] == b"old"
    assert [one.branch_revision for one in test.software][1] == commit
    assert [one.project_name for one in test.software] == ["tests", "tool", "tool", "tool"]


@pytest.mark.parametrize(
    ("skip", "found"), [(SkipInstall.REPOS, 1), (SkipInstall.ALL, 1), (SkipInstall.DEPS, 2)]
)
def test_repositories_to_install_can_be_skipped(
    repository: Repository, loader: DefinitionLoader, skip: SkipInstall, found: int
) -> None:
    repository.commit({"lavatest.yaml": definition("smoke", install={"git-repos": ["tests.git"]})})
    loader.skip_install = skip

    (test,) = loader.load(parse_source({"git-repo": "tests.git"}))

    assert len(contents(test)) == found


@pytest.mark.parametrize("where", ["../up", "/etc", "-"])
def test_a_parameter_cannot_lead_a_repository_outside(
    repository: Repository, loader: DefinitionLoader, where: str
) -> None:
    repository.commit(
        {
            "lavatest.yaml": definition(
                "smoke",
                params={"WHERE": "x"},
                install={"git-repos": [{"url": "tests.git", "destination": "WHERE"}]},
            )
        }
    )
    source = parse_source({"git-repo": "tests.git", "parameters": {"WHERE": where}})

    if where == "-":
        assert "-/lavatest.yaml" in contents(loader.load(source)[0])
        return
    with pytest.raises(JobError, match="expected a path inside the repository"):
        loader.load(source)


def test_definitions_to_run_before_run_before(
    repository: Repository, loader: DefinitionLoader, tmp_path: Path
) -> None:
    repository.commit({"lavatest.yaml": definition("third")})
    (tmp_path / "second.yaml").write_text(
        definition("second", **{"test-case-deps": [{"git-repo": "tests.git"}]})
    )
    (tmp_path / "first.yaml").write_text(
        definition(
            "first",
            **{"test-case-deps": [{"url": "second.yaml"}, {"git-repo": "tests.git"}]},
        )
    )

    tests = loader.load(url(tmp_path / "first.yaml"))

    assert [test.definition.name for test in tests] == ["third", "second", "third", "first"]
    assert len({test.uuid for test in tests}) == 4


def test_definitions_that_wait_for_each_other_are_refused_with_the_circle(
    loader: DefinitionLoader, tmp_path: Path
) -> None:
    for name, other in (("a", "b"), ("b", "c"), ("c", "b")):
        (tmp_path / f"{name}.yaml").write_text(
            definition(name, **{"test-case-deps": [{"url": f"{other}.yaml"}]})
        )

    with pytest.raises(JobError) as caught:
        loader.load(Source(kind=SourceKind.URL, location="a.yaml"))

    assert caught.value.message == (
        "test-case-deps go in a circle: a.yaml -> b.yaml -> c.yaml -> b.yaml"
    )
