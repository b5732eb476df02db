# SPDX-License-Identifier: MIT
"""The overlay is a plain, reproducible tar with LAVA's layout, safe with hostile values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import lava_vmgroup.testdefs
from lava_vmgroup.testdefs.overlay import (
    OverlayTest,
    build_overlay,
    runner_command,
)
from lava_vmgroup.testdefs.tree import TreeEntry
from tests.unit.testdefs.overlays import PLAIN, ROOT, SPEC, members, text_of

SCRIPTS = Path(lava_vmgroup.testdefs.__file__).parent / "scripts"
FILES = sorted(path.name for path in SCRIPTS.iterdir())
HELPERS = [name for name in FILES if not name.endswith(".sh")]


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
        first, *lines = text_of(spec, f"bin/{name}").splitlines()
        shipped = (SCRIPTS / name).read_text().splitlines()
        assert first == "#!/bin/ash"
        assert lines == [line for line in shipped if not line.strip().startswith("#")]


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
