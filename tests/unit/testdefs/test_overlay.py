# SPDX-License-Identifier: MIT
"""The overlay is a plain, reproducible tar with LAVA's layout, safe with hostile values."""

from __future__ import annotations

import io
import shlex
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

import lava_vmgroup.testdefs
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.testdefs.definition import TestDefinition
from lava_vmgroup.testdefs.overlay import (
    OverlaySpec,
    OverlayTest,
    build_overlay,
    runner_command,
)
from lava_vmgroup.testdefs.steps import SkipInstall, quoted
from lava_vmgroup.testdefs.tree import TreeEntry

SCRIPTS = Path(lava_vmgroup.testdefs.__file__).parent / "scripts"
FILES = sorted(path.name for path in SCRIPTS.iterdir())
HELPERS = [name for name in FILES if not name.endswith(".sh")]
HOSTILE = 'it\'s; $(touch /tmp/x) `id` "q" \\ \n$HOME é'

PLAIN = TestDefinition(
    name="plain", format="1.0", description="", params={"A": "1"}, run_steps=("true", "false")
)
FULL = TestDefinition(
    name="full",
    format="1.0",
    description="",
    dependencies=("gcc make", "g++;x"),
    install_steps=("make all",),
    run_steps=(),
)
SPEC = OverlaySpec(
    node="vm1-job0.1",
    role="client",
    group=[("board", "host"), ("vm1-job0.1", "client"), ("vm2-job0.2", "client")],
    tests=[
        OverlayTest(definition=PLAIN, uuid="aa-11", source="plain: é\n", url="https://lab/x"),
        OverlayTest(definition=FULL, uuid="bb-22", source="full\n"),
    ],
    target_group="group-1",
    host_ip="10.0.0.1",
)
ROOT = "lava-vm1-job0.1"


def members(spec: OverlaySpec) -> dict[str, tarfile.TarInfo]:
    """The tar's entries by name, in order."""
    with tarfile.open(fileobj=io.BytesIO(build_overlay(spec)), mode="r:") as tar:
        return {member.name: member for member in tar}


def text_of(spec: OverlaySpec, name: str) -> str:
    """Return the text of a file in the overlay."""
    with tarfile.open(fileobj=io.BytesIO(build_overlay(spec)), mode="r:") as tar:
        file = tar.extractfile(f"{spec.directory.relative_to('/')}/{name}")
        assert file is not None
        return file.read().decode()


def run_script(test: OverlayTest) -> str:
    """The run.sh of a test."""
    return text_of(replace(SPEC, tests=[test]), f"tests/0_{test.uuid}/run.sh")


def test_the_layout_is_lavas() -> None:
    expected = [
        "",
        "/bin",
        *(f"/bin/{name}" for name in FILES),
        "/lava-environment",
        "/tests",
        "/tests/0_aa-11",
        "/tests/0_aa-11/testdef.yaml",
        "/tests/0_aa-11/testdef_metadata",
        "/tests/0_aa-11/uuid",
        "/tests/0_aa-11/run.sh",
        "/tests/1_bb-22",
        "/tests/1_bb-22/testdef.yaml",
        "/tests/1_bb-22/testdef_metadata",
        "/tests/1_bb-22/uuid",
        "/tests/1_bb-22/install.sh",
        "/tests/1_bb-22/run.sh",
        "/results",
        "/lava-test-runner.results",
        "/lava-test-runner.conf",
    ]

    assert list(members(SPEC)) == [f"{ROOT}{name}" for name in expected]


def test_everything_belongs_to_root_and_programs_can_be_run() -> None:
    found = members(SPEC)

    assert {
        (member.uid, member.gid, member.uname, member.gname, member.mtime)
        for member in found.values()
    } == {(0, 0, "root", "root", 1)}
    assert {name for name, member in found.items() if member.isreg() and member.mode == 0o755} == {
        *(f"{ROOT}/bin/{name}" for name in HELPERS),
        f"{ROOT}/tests/0_aa-11/run.sh",
        f"{ROOT}/tests/1_bb-22/run.sh",
        f"{ROOT}/tests/1_bb-22/install.sh",
    }
    assert {member.mode for member in found.values() if member.isdir()} == {0o755}
    assert {member.mode for member in found.values()} == {0o755, 0o644}


def test_the_same_spec_gives_the_same_bytes() -> None:
    assert build_overlay(SPEC) == build_overlay(replace(SPEC, group=list(SPEC.group)))


def test_the_tar_is_plain_ustar_in_whole_disk_blocks() -> None:
    data = build_overlay(SPEC)

    assert data[257:263] == b"ustar\0"
    assert len(data) % 512 == 0


def test_a_test_directory_of_the_job_is_used() -> None:
    spec = replace(SPEC, lava_test_dir="/data/local/lava")

    assert all(name.startswith("data/local/lava") for name in members(spec))
    assert text_of(spec, "lava-test-runner.conf") == (
        "/data/local/lava/tests/0_aa-11\n/data/local/lava/tests/1_bb-22\n"
    )
    assert runner_command(spec) == "/data/local/lava/bin/lava-test-runner /data/local/lava"


def test_helpers_run_under_the_nodes_shell() -> None:
    spec = replace(SPEC, shell="/bin/ash")  # noqa: S604

    for name in HELPERS:
        text = text_of(spec, f"bin/{name}")
        assert text.startswith("#!/bin/ash\n# SPDX-License-Identifier: MIT\n")
        assert text.partition("\n")[2] == (SCRIPTS / name).read_text().partition("\n")[2]


def test_the_shipped_scripts_are_complete_programs() -> None:
    for name in HELPERS:
        assert (
            (SCRIPTS / name).read_text().startswith("#!/bin/sh\n# SPDX-License-Identifier: MIT\n")
        )


def test_a_test_is_kept_with_its_source_and_metadata() -> None:
    assert text_of(SPEC, "tests/0_aa-11/testdef.yaml") == "plain: é\n"
    assert text_of(SPEC, "tests/0_aa-11/uuid") == "aa-11\n"
    assert "url: https://lab/x\n" in text_of(SPEC, "tests/0_aa-11/testdef_metadata")


def test_run_script_is_steps_between_markers() -> None:
    assert text_of(SPEC, "tests/0_aa-11/run.sh") == (
        "A='1'\n"
        "TARGET_TYPE=$(lava-distro)\n"
        "set -e\n"
        "cd /lava-vm1-job0.1/tests/0_aa-11\n"
        "export TESTRUN_ID=plain\n"
        "lava-record STARTRUN plain aa-11\n"
        "true\n"
        "false\n"
        ": >>/lava-vm1-job0.1/tests/0_aa-11.ended\n"
        "lava-record ENDRUN plain aa-11\n"
    )


def test_install_script_installs_packages_then_runs_its_steps() -> None:
    assert text_of(SPEC, "tests/1_bb-22/install.sh") == (
        "TARGET_TYPE=$(lava-distro)\n"
        "set -ex\n"
        "cd /lava-vm1-job0.1/tests/1_bb-22\n"
        "lava-install-packages gcc make 'g++;x'\n"
        "make all\n"
        ": >>/lava-vm1-job0.1/tests/1_bb-22.ended\n"
    )


def install_script(definition: TestDefinition, skip: SkipInstall | None = None) -> str:
    """The install.sh of a test."""
    test = OverlayTest(definition=definition, uuid="a", source="", skip_install=skip)
    return text_of(replace(SPEC, tests=[test]), "tests/0_a/install.sh").partition("0_a\n")[2]


COMPLETE = replace(
    FULL,
    keys=("1234",),
    sources=("deb http://lab/ x",),
    distro_dependencies={"ubuntu": ("u1 u2",), "oe": ("o1",)},
)


@pytest.mark.parametrize(
    ("skip", "gone"),
    [
        (None, ""),
        (SkipInstall.REPOS, ""),
        (SkipInstall.KEYS, "lava-add-keys 1234\n"),
        (SkipInstall.SOURCES, "lava-add-sources 'deb http://lab/ x'\n"),
        (SkipInstall.STEPS, "make all\n"),
        (
            SkipInstall.DEPS,
            "set -- gcc make 'g++;x'\n"
            "case $TARGET_TYPE in\n"
            'ubuntu) set -- "$@" u1 u2 ;;\n'
            'oe | openembedded* | poky* | nodistro*) set -- "$@" o1 ;;\n'
            "esac\n"
            '[ $# -eq 0 ] || lava-install-packages "$@"\n'
            "set --\n",
        ),
    ],
)
def test_every_part_of_the_installation_can_be_skipped(skip: SkipInstall | None, gone: str) -> None:
    whole = install_script(COMPLETE)

    assert gone in whole
    assert install_script(COMPLETE, skip) == whole.replace(gone, "")
    assert whole.splitlines()[0] == "lava-add-keys 1234"
    assert whole.splitlines()[1] == "lava-add-sources 'deb http://lab/ x'"
    assert whole.splitlines()[-2] == "make all"


def test_the_whole_installation_can_be_skipped() -> None:
    test = OverlayTest(definition=COMPLETE, uuid="a", source="", skip_install=SkipInstall.ALL)

    names = members(replace(SPEC, tests=[test]))

    assert f"{ROOT}/tests/0_a/install.sh" not in names


def test_scripts_learn_the_dispatchers_address_and_the_repetition() -> None:
    test = OverlayTest(definition=PLAIN, uuid="a", source="")
    spec = replace(SPEC, tests=[test], server_ip="10.0.0.9", repeat_count=3)

    assert text_of(spec, "tests/0_a/run.sh").startswith(
        "A='1'\nLAVA_SERVER_IP='10.0.0.9'\nTARGET_TYPE=$(lava-distro)\nREPEAT_COUNT='3'\nset -e\n"
    )


def test_the_repositorys_files_are_there_but_the_tests_own_come_first() -> None:
    files = (
        TreeEntry(path="sub/tool", content=b"\0raw", executable=True),
        TreeEntry(path="link", link="sub/tool"),
        TreeEntry(path="run.sh", content=b"theirs"),
        TreeEntry(path="uuid/x", content=b"theirs"),
    )
    test = OverlayTest(definition=PLAIN, uuid="a", source="", files=files)
    spec = replace(SPEC, tests=[test])

    found = members(spec)

    folder = f"{ROOT}/tests/0_a"
    assert found[f"{folder}/sub/tool"].mode == 0o755
    assert (found[f"{folder}/link"].issym(), found[f"{folder}/link"].linkname) == (True, "sub/tool")
    assert f"{folder}/uuid/x" not in found
    assert "theirs" not in text_of(spec, "tests/0_a/run.sh")


def test_a_name_that_ustar_has_no_room_for_is_packed_nevertheless() -> None:
    files = (TreeEntry(path="x" * 200), TreeEntry(path="link", link="y" * 200))
    spec = replace(SPEC, tests=[OverlayTest(definition=PLAIN, uuid="a", source="", files=files)])

    found = members(spec)

    assert found[f"{ROOT}/tests/0_a/{'x' * 200}"].isreg()
    assert found[f"{ROOT}/tests/0_a/link"].linkname == "y" * 200


def test_the_jobs_parameters_override_the_definitions() -> None:
    test = OverlayTest(definition=PLAIN, uuid="a", source="", parameters={"B": "2", "A": "3"})

    assert run_script(test).startswith("A='3'\nB='2'\nTARGET_TYPE=")


def test_hostile_values_stay_values() -> None:
    test = OverlayTest(definition=PLAIN, uuid="a", source="", parameters={"B": HOSTILE})

    words = shlex.split(run_script(test).partition("TARGET_TYPE=")[0])

    assert words == ["A=1", f"B={HOSTILE}"]


def test_hostile_facts_stay_values() -> None:
    role = "it's $(id) `id` \\ é"

    environment = text_of(replace(SPEC, role=role), "lava-environment")

    assert f"LAVA_NODE_ROLE={role}" in shlex.split(environment, comments=True)


def test_the_environment_has_every_fact() -> None:
    spec = replace(SPEC, is_host=True, debug=True)

    words = shlex.split(text_of(spec, "lava-environment"), comments=True)

    assert words == [
        "LAVA_NODE_NAME=vm1-job0.1",
        "LAVA_NODE_ROLE=client",
        "LAVA_ROLES=host\nclient",
        "LAVA_GROUP=board\thost\nvm1-job0.1\tclient\nvm2-job0.2\tclient",
        "LAVA_TARGET_GROUP=group-1",
        "LAVA_IS_HOST=yes",
        "LAVA_HOST_IP=10.0.0.1",
        "LAVA_STEPS_SHELL=",
        "LAVA_RECORDS_FILE=",
        "LAVA_RECORDS_PORT=lava-vmgroup.records",
        "LAVA_MULTI_NODE_CACHE=/tmp/lava_multi_node_cache.txt",
        "LAVA_MULTI_NODE_DEBUG=yes",
    ]


def test_facts_that_are_not_known_are_empty() -> None:
    words = shlex.split(text_of(replace(SPEC, host_ip=None), "lava-environment"), comments=True)

    assert {"LAVA_HOST_IP=", "LAVA_IS_HOST=", "LAVA_MULTI_NODE_DEBUG="} <= set(words)


@pytest.mark.parametrize(
    ("step", "written"),
    [
        (
            "lava-test-case a --shell \"awk '{print $1}'\"",
            "lava-test-case a --shell \"awk '{print \\$1}'\"",
        ),
        ("lava-x --cmd echo $12 \\$3 $HOME", "lava-x --cmd echo \\$12 \\$3 $HOME"),
        ("awk '{print $1}'", "awk '{print $1}'"),
    ],
)
def test_numbered_arguments_reach_the_commands_of_helpers(step: str, written: str) -> None:
    test = OverlayTest(definition=replace(PLAIN, run_steps=(step,)), uuid="a", source="")

    assert f"\n{written}\n" in run_script(test)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (replace(SPEC, lava_test_dir="relative"), "lava_test_dir: expected an absolute path"),
        (replace(SPEC, lava_test_dir="/a b"), "lava_test_dir: expected an absolute path"),
        (replace(SPEC, lava_test_dir="/"), "lava_test_dir: expected an absolute path"),
        (replace(SPEC, lava_test_dir="/a/../b"), "lava_test_dir: expected an absolute path"),
        (replace(SPEC, shell="sh"), "shell: expected an absolute path"),  # noqa: S604
        (replace(SPEC, role="a\nb"), "expected a printable name or role, found 'a\\nb'"),
        (replace(SPEC, group=[("a\tb", "c")]), "expected a printable name or role"),
        (replace(SPEC, group=[("a", "")]), "expected a printable name or role, found ''"),
        (
            replace(SPEC, tests=[OverlayTest(definition=PLAIN, uuid="../x", source="")]),
            "plain: expected a UUID, found '../x'",
        ),
        (
            replace(
                SPEC,
                tests=[OverlayTest(definition=PLAIN, uuid="a", source="", parameters={"a;b": ""})],
            ),
            "plain: parameters.a;b: expected a shell variable's name",
        ),
        (
            replace(
                SPEC,
                tests=[OverlayTest(definition=PLAIN, uuid="a", source="", parameters={"a": "\0"})],
            ),
            "plain: parameters.a: expected text without NUL",
        ),
    ],
)
def test_what_cannot_stand_in_the_nodes_files_is_refused(spec: OverlaySpec, problem: str) -> None:
    with pytest.raises(JobError) as caught:
        build_overlay(spec)

    assert any(found.startswith(problem) for found in caught.value.problems)


def test_every_problem_of_an_overlay_is_reported() -> None:
    with pytest.raises(JobError) as caught:
        build_overlay(replace(SPEC, shell="sh", role="\n"))  # noqa: S604

    assert len(caught.value.problems) == 2


@pytest.mark.parametrize("text", ["plain", "", "a b", "it's", "$(id)", "a\nb", "*", "~"])
def test_quoted_text_is_one_word(text: str) -> None:
    assert shlex.split(quoted(text)) == [text]


def test_harmless_words_are_not_quoted() -> None:
    assert quoted("/usr/bin/x-1.0_2+a:b@c%d,") == "/usr/bin/x-1.0_2+a:b@c%d,"
