# SPDX-License-Identifier: MIT
"""The action ``lava_test_shell`` as a whole, on a node that is this machine."""

from pathlib import Path
from typing import Any

from lava_vmgroup.actions import lava_test_shell
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.job.model import Action
from tests.integration.testshell.test_node import LIMIT_S, LocalNode, node
from tests.support.repositories import Repository, definition

__all__ = ["node"]


def test_timeout_is_that_of_the_tests_and_not_of_the_wait_for_vms(
    node: LocalNode, tmp_path: Path
) -> None:
    shared: Any = node.shared
    shared.work = tmp_path
    shared.group.settings.folder = tmp_path
    shared.files = None  # nothing is downloaded
    (tmp_path / "t.yaml").write_text(definition("t", run={"steps": ["true"]}))
    parameters = {
        "testdef_urls": ["t.yaml"],
        "timeout": LIMIT_S / 2,
        "lava_test_dir": str(tmp_path / "lava"),
    }
    job = Deadline.after("the job", LIMIT_S, node.token)

    action = Action(command="lava_test_shell", parameters=parameters, place="actions[0]")
    lava_test_shell.run(action, node, job)

    assert node.waits_until is job


def test_tests_of_several_repositories_run_in_their_order(node: LocalNode, tmp_path: Path) -> None:
    shared: Any = node.shared
    shared.work = tmp_path
    shared.group.settings.folder = tmp_path
    shared.files = None  # nothing is downloaded
    steps = ["lava-test-case own-file --shell grep -x $TESTRUN_ID data"]
    for name in ("first", "second"):
        files = {"lavatest.yaml": definition(name, run={"steps": steps}), "data": f"{name}\n"}
        Repository(tmp_path / name).commit(files)
    parameters = {
        "testdef_repos": [{"git-repo": "second"}, {"git-repo": "first"}],
        "lava_test_dir": str(tmp_path / "lava"),
    }
    action = Action(command="lava_test_shell", parameters=parameters, place="actions[0]")

    lava_test_shell.run(action, node, Deadline.after("the action", LIMIT_S))

    assert [run.name for run in node.recorder.runs] == ["second", "first"]
    cases = [case for run in node.recorder.runs for case in run.cases]
    assert [(case.name, case.outcome.value) for case in cases] == [("own-file", "pass")] * 2
