# SPDX-License-Identifier: MIT
"""The check of a job reports problems of an action's tests that this machine can see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lava_vmgroup.actions import lava_test_shell
from lava_vmgroup.job.model import Action, Scope
from tests.support.repositories import Repository, definition

LIMIT_S = 60.0


def problems(tmp_path: Path, **parameters: Any) -> list[str]:
    """Return the problems that the check of a job finds in an action."""
    action = Action(command="lava_test_shell", parameters=parameters, place="actions[0]")
    scope = Scope(folder=tmp_path, on_host=True, on_vms=True)
    return list(lava_test_shell.check(action, scope))


def test_a_job_is_checked_as_far_as_this_machine_goes(
    repository: Repository, tmp_path: Path
) -> None:
    bad = definition("bad", parse={"pattern": "("})
    repository.commit({"bad.yaml": bad, "good.yaml": definition("good")})
    (tmp_path / "far.yaml").write_text(
        definition(
            "far",
            install={"git-repos": ["https://lab/not-asked-for"]},
            **{"test-case-deps": [{"git-repo": "https://lab/x"}]},
        )
    )

    found = problems(
        tmp_path,
        testdef_urls=["far.yaml", "no-such.yaml", "http://lab/never-asked"],
        testdef_repos=[
            {"git-repo": "tests.git", "testdef": "good.yaml"},
            {"git-repo": "tests.git", "testdef": "bad.yaml"},
            {"git-repo": "tests.git", "url": "x"},
            {"from": "inline", "repository": {"run": {"steps": []}}},
            {"git-repo": "https://lab/never-asked"},
        ],
    )

    assert [problem.partition(": ")[0] for problem in found] == [
        "testdef_urls[1]",
        "testdef_repos[1]",
        "testdef_repos[2]",
        "testdef_repos[3]",
    ]
    assert found[1].startswith("testdef_repos[1]: parse.pattern: expected a regular expression")
    assert found[3] == "testdef_repos[3]: metadata: missing; expected a mapping"


def test_an_action_without_tests_is_refused(tmp_path: Path) -> None:
    assert problems(tmp_path) == ["testdef_urls: missing; give testdef_urls, testdef_repos or both"]


def test_a_test_directory_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(definition("x"))

    assert problems(tmp_path, testdef_urls=["x.yaml"], lava_test_dir="/data/%s") == []
    assert problems(tmp_path, testdef_urls=["x.yaml"], lava_test_dir="data") == [
        "lava_test_dir: expected an absolute path of letters, digits and _.+-, found 'data'"
    ]
