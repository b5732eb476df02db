# SPDX-License-Identifier: MIT
"""A group as a MultiNode job of LAVA v2."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import lava_packages
from tests.support.lab import ROOT, Lab, coordinator
from tests.support.lava_v2 import EXAMPLE, asked
from tests.support.local_lab import entry, local_lab, shell_action, write_job
from tests.support.sshd import Server, sshd

__all__ = ["sshd"]

LAVA = ("--format", "lava-v2", "--expand-to", "DIR")
MEETS = """\
metadata: {format: Lava-Test-Shell Test Definition 1.0, name: meets, description: they meet}
run:
  steps:
  - lava-sync here
  - lava-test-case group --shell test "$(lava-group | wc -l)" -eq 3
  # The end of a here-document, as a test may have it: END
  - lava-test-case words --shell sh -c 'test "$1" = one' name one
  - lava-test-case known-to-fail --result fail
"""


def expand(folder: Path, job: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Write a job's MultiNode job to a folder."""
    command = [sys.executable, "-m", "lava_vmgroup", "--expand-to", str(folder)]
    command += ["--format", "lava-v2", "--device-type", "docker", *options, str(job)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def lavas_job(folder: Path, job: Path, *options: str) -> Any:
    """A job's MultiNode job."""
    done = expand(folder, job, *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{folder}/job.yaml\n"
    return yaml.safe_load((folder / "job.yaml").read_text())


@pytest.mark.parametrize("release", [lava_packages.newest, lava_packages.of_this_system])
def test_lava_accepts_the_job(release: Any, tmp_path: Path) -> None:
    job = lavas_job(tmp_path, EXAMPLE / "group.json")
    roles = job["protocols"]["lava-multinode"]["roles"]

    assert asked({"job": (tmp_path / "job.yaml").read_text()}, release()) == ""
    assert {name: role["device_type"] for name, role in roles.items()} == {
        "host-0": "emulated-arm64",
        "guest-1": "docker",
    }
    del job["protocols"]["lava-multinode"]["roles"]["host-0"]["device_type"]
    assert "device_type" in asked({"job": yaml.safe_dump(job)}, release())


def test_members_run_the_group(tmp_path: Path, sshd: Server) -> None:
    with local_lab(tmp_path, sshd) as lab, coordinator(tmp_path) as port:
        document = {
            "timeout": 120,
            "job_name": "a group",
            "vm_group": {
                "host": {"device_type": "rack"},
                "vms": [entry("guest", count=2)],
            },
            "actions": [shell_action("test.yaml", role) for role in ("host", "guest")],
        }
        made = lavas_job(tmp_path / "lava", write_job(lab, document, test=MEETS))
        settings = {"coordinator_hostname": "127.0.0.1", "port": port, "token_file": "token"}
        (tmp_path / "coordinator.conf").write_text(json.dumps(settings))
        # The members have what LAVA's containers have: no file of the job.
        (tmp_path / "test.yaml").unlink()

        members = [start_member(lab, action["test"]) for action in made["actions"]]
        said = [member.communicate(timeout=110) for member in members]

    assert [member.returncode for member in members] == [0, 0, 0], said
    for index, (name, (text, _)) in enumerate(
        zip(["rack01", "vm2-job0.1", "vm1-job0.2"], said, strict=True)
    ):
        told = [line for line in text.splitlines() if line.startswith("<LAVA_SIGNAL")]
        assert told == [
            f"<LAVA_SIGNAL_TESTSET START {name}.meets>",
            "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=group RESULT=pass>",
            "<LAVA_SIGNAL_TESTSET STOP>",
            f"<LAVA_SIGNAL_TESTSET START {name}.meets>",
            "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=words RESULT=pass>",
            "<LAVA_SIGNAL_TESTSET STOP>",
            f"<LAVA_SIGNAL_TESTSET START {name}.meets>",
            "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=known-to-fail RESULT=fail>",
            "<LAVA_SIGNAL_TESTSET STOP>",
        ], index


def as_lava(step: str) -> str:
    """A step as LAVA writes it into its script (``actions/deploy/testdef.py``)."""
    if "--cmd" in step or "--shell" in step:
        return re.sub(r"\$(\d+)\b", r"\\$\1", step)
    return step


def start_member(lab: Lab, test: Any) -> subprocess.Popen[str]:
    """Run the steps of a member's test as LAVA does in the member's container."""
    [role], [definition] = test["role"], test["definitions"]
    folder = lab.folder / role
    folder.mkdir()
    arguments = f"--config-dir {lab.config} --coordinator {lab.folder}/coordinator.conf"
    programs = {
        "lava-group": r"printf '23\tguest-1\n22\thost-0\n24\tguest-2\n'",
        "lava-dispatch": f'exec {sys.executable} -m lava_vmgroup {arguments} "$@"',
    }
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    environment |= {"PYTHONPATH": str(ROOT), "LAVA_RESULT_DIR": str(folder / "results")}
    if role == "host-0":
        environment |= {"LAVA_CONNECTION_COMMAND": "true", "LAVA_DEVICE_HOSTNAME": "rack01"}
    process = subprocess.Popen(
        ["bash", "-ec", "\n".join(map(as_lava, definition["repository"]["run"]["steps"]))],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lab.started.append(process)
    return process


def test_files_that_members_would_miss_are_named(tmp_path: Path) -> None:
    document = {
        "timeout": 60,
        "vm_group": {
            "host": {"device_type": "rack"},
            "vms": [{"device_type": "kvm-aarch64", "role": "guest", "image": "vm.img"}],
        },
        "actions": [
            {
                "command": "lava_test_shell",
                "parameters": {
                    "testdef_urls": ["http://127.0.0.1/test.yaml", "/srv/test.yaml", "own.yaml"],
                    "testdef_repos": [
                        {"git-repo": "tests"},
                        {"from": "git", "repository": "."},
                        {"from": "url", "repository": "file:other.yaml"},
                        {"git-repo": "https://127.0.0.1/tests"},
                    ],
                },
            },
            {
                "command": "deploy_linaro_image",
                "parameters": {
                    "image": "/srv/host.img",
                    "role": "host",
                    "customize": {"motd": ["rootfs:/etc/motd"], "delete": ["rootfs:/etc/issue"]},
                },
            },
        ],
    }
    (tmp_path / "job.json").write_text(json.dumps(document))
    needs = {"test-case-deps": [{"url": "more.yaml"}], "install": {"git-repos": ["./tools"]}}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({**yaml.safe_load(MEETS), **needs}))

    done = expand(tmp_path / "lava", tmp_path / "job.json")

    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "lava-dispatch: the members of LAVA's job would miss files",
        *(
            f"lava-dispatch:   {place}: expected a URL, or an absolute path in the members' "
            f"containers, found {found!r}"
            for place, found in (
                ("lava_test_shell: testdef_repos", "tests"),
                ("lava_test_shell: testdef_repos", "."),
                ("lava_test_shell: testdef_repos", "file:other.yaml"),
                ("lava_test_shell: own.yaml", "more.yaml"),
                ("lava_test_shell: own.yaml", "./tools"),
                ("deploy_linaro_image: customize", "motd"),
                ("deploy_linaro_image: image", "vm.img"),
            )
        ),
    ]
    assert not (tmp_path / "lava").exists()


def test_output_of_members_goes_where_the_user_says(tmp_path: Path) -> None:
    job = lavas_job(tmp_path, EXAMPLE / "group.json", "--output-dir", "/srv/the results")

    [definition] = job["actions"][0]["test"]["definitions"]
    assert definition["repository"]["run"]["steps"][-1].endswith(
        """ --output-dir '/srv/the results'/"$LAVA_JOB_ID" node.json"""
    )


def test_job_with_a_password_in_a_definition_is_for_its_submitter_alone(tmp_path: Path) -> None:
    (tmp_path / "group.json").write_text((EXAMPLE / "group.json").read_text())
    install = {"install": {"git-repos": ["https://name:password@127.0.0.1/tools.git"]}}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump({**yaml.safe_load(MEETS), **install}))

    assert lavas_job(tmp_path / "lava", tmp_path / "group.json")["visibility"] == "personal"


@pytest.mark.parametrize("token", [None, "secret"])
def test_job_with_a_token_is_for_its_submitter_alone(tmp_path: Path, token: str | None) -> None:
    group = json.loads((EXAMPLE / "group.json").read_text())
    where = {"server": "http://127.0.0.1/RPC2/", "stream": "/anonymous/x/"}
    parameters = where if token is None else {**where, "token": token}
    group["actions"].append({"command": "submit_results", "parameters": parameters})
    (tmp_path / "group.json").write_text(json.dumps(group))
    (tmp_path / "test.yaml").write_text(MEETS)

    job = lavas_job(tmp_path / "lava", tmp_path / "group.json")

    assert job["visibility"] == ("public" if token is None else "personal")
    assert (tmp_path / "lava/job.yaml").stat().st_mode & 0o777 == 0o600


def test_broken_definition_is_refused(tmp_path: Path) -> None:
    (tmp_path / "group.json").write_text((EXAMPLE / "group.json").read_text())
    (tmp_path / "test.yaml").write_text("{{{")

    done = expand(tmp_path / "lava", tmp_path / "group.json")

    assert done.returncode == 2
    assert "test.yaml: line 1" in done.stderr


@pytest.mark.parametrize(
    "options",
    [
        ("--docker-image", "a b", "--device-type", "x", "--format", "lava-v2", "--expand-to", "D"),
        ("--format", "lava-v2", "--expand-to", "DIR"),
        ("--format", "lava-v2", "--device-type", "docker"),
        ("--device-type", "docker", "--expand-to", "DIR"),
        ("--docker-image", "registry/image", "--expand-to", "DIR"),
        (*LAVA, "--output-dir", "results", "--device-type", "x"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "lava_vmgroup", *options, str(EXAMPLE / "group.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.returncode == 2
    assert re.search("--device-type|--docker-image|--output-dir", done.stderr.splitlines()[-1])
