# SPDX-License-Identifier: MIT
"""Attachments: kept by tests, packed and read again, under every shell a node may have."""

from __future__ import annotations

import io
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from lava_vmgroup.results.model import Outcome
from lava_vmgroup.testshell import events
from lava_vmgroup.testshell.collected import Collected, read_results
from tests.integration.testshell.definitions import definition

if TYPE_CHECKING:
    from tests.integration.testshell.conftest import Node

LIMIT_S = 60.0
PLENTY = 10 << 20


def pack(node: Node, limit: int = PLENTY) -> bytes:
    """Return the output of lava-pack-results."""
    return subprocess.run(
        [node.bin / "lava-pack-results", node.directory, str(limit)],
        stdout=subprocess.PIPE,
        env=node.environment,
        check=True,
        timeout=LIMIT_S,
    ).stdout


def collected(node: Node, limit: int = PLENTY) -> Collected:
    """The same as the dispatcher reads it."""
    return read_results(pack(node, limit))


def test_files_of_tests_come_back_with_their_types(node: Node) -> None:
    node.unpack(
        definition(
            "smoke",
            "echo hello >note.txt; mkdir -p sub; printf '\\001\\002' >sub/raw",
            f"echo elsewhere >{node.root}/else",
            "lava-test-case a --result pass",
            "lava-test-case-attach a note.txt",
            "lava-test-case-attach a sub/raw image/x-raw",
            "lava-test-run-attach ./sub/../note.txt text/markdown",
            f"lava-test-run-attach {node.root}/else",
            install=("true",),
        )
    )

    node.run_tests()

    left = collected(node).runs["uuid-0"]
    attached = {one.pathname: (one.mime_type, one.content) for one in left.cases["a"].attachments}
    assert attached == {
        "note.txt": ("text/plain", b"hello\n"),
        "sub/raw": ("image/x-raw", b"\x01\x02"),
    }
    own = {one.pathname: one for one in left.attachments}
    assert own.keys() == {
        "stdout.log",
        "testdef.yaml",
        "return_code",
        "install_return_code",
        "run.sh",
        "install.sh",
        "note.txt",
        f"{node.root}/else".lstrip("/"),
    }
    assert (own["note.txt"].mime_type, own["note.txt"].content) == ("text/markdown", b"hello\n")
    assert own["return_code"].content == b"0\n"
    assert b"<LAVA_SIGNAL_STARTRUN smoke uuid-0 CHECK=" in own["stdout.log"].content
    assert {own[name].mime_type for name in ("stdout.log", "return_code", "run.sh")} == {
        "text/plain"
    }


def test_the_context_of_a_run_comes_back(node: Node) -> None:
    node.unpack(definition("smoke", "true"), definition("bad", "true", install=("false",)))

    node.run_tests()

    runs = collected(node).runs
    for uuid in ("uuid-0", "uuid-1"):
        kinds = [device.device_type for device in runs[uuid].hardware]
        assert kinds.count("device.cpu") >= 1
        assert kinds.count("device.mem") == 1
        assert runs[uuid].image


def test_metadata_that_a_test_finds_out_come_back(node: Node) -> None:
    text = 'first: "quoted"\n  - second: x # no comment'
    written = text.replace('"', '\\"')
    step = f"lava-test-case-metadata found --shell \"printf '%s' '{written}'\""
    node.unpack(definition("smoke", step, "lava-test-case-metadata one --shell 'echo 1; false'"))

    finished = node.run_tests()

    assert collected(node).runs["uuid-0"].metadata == {"found": text, "one": "1"}
    assert "<LAVA_SIGNAL_START_METADATA_CAPTURE found>" in finished.lines
    assert "<LAVA_SIGNAL_END_METADATA_CAPTURE found>" in finished.lines


def test_results_that_a_tool_wrote_itself_come_back(node: Node) -> None:
    node.unpack(
        definition(
            "smoke",
            "cd $LAVA_RESULT_DIR/results",
            "mkdir -p x/y && echo fail >x/y/result",
            "mkdir z && echo 3 >z/measurement",
        )
    )

    node.run_tests()

    cases = collected(node).runs["uuid-0"].cases
    assert {name: case.as_signal(name).result for name, case in cases.items()} == {
        "x/y": Outcome.FAIL,
        "z": Outcome.UNKNOWN,
    }
    assert cases["z"].details.measurement == "3"


def test_only_the_last_runs_results_are_packed(node: Node) -> None:
    node.unpack(definition("old", "true"))
    node.run_tests()
    node.unpack(definition("first", "true"), definition("second", "true"))

    before = collected(node)
    node.run_tests()

    assert before == Collected(runs={})
    assert collected(node).runs.keys() == {"uuid-0", "uuid-1"}
    with tarfile.open(fileobj=io.BytesIO(pack(node))) as tar:
        folders = {member.name.split("/")[0] for member in tar}
    assert len(folders - {"left-out"}) == 2


def test_what_does_not_fit_is_left_out_and_named(node: Node) -> None:
    node.unpack(
        definition(
            "smoke",
            "lava-test-case a --result pass",
            "head -c 3000000 /dev/zero >'large one'; lava-test-run-attach 'large one'",
            "head -c 100000 /dev/zero >small; lava-test-run-attach small",
        )
    )
    node.run_tests()
    limit = 1 << 20

    packed = pack(node, limit)

    found = read_results(packed)
    names = {one.pathname for one in found.runs["uuid-0"].attachments}
    folder = node.result_directory(0).name
    assert len(packed) <= limit
    assert "small" in names
    assert "large one" not in names
    assert found.runs["uuid-0"].cases.keys() == {"a"}
    assert found.problems == (f"too large to be collected: 3000000 {folder}/attachments/large one",)


def test_many_and_long_names_are_packed(node: Node) -> None:
    long = "n" * 120
    node.unpack(
        definition(
            "smoke",
            f"i=0; while [ $i -lt 300 ]; do mkdir $LAVA_RESULT_DIR/results/{long}$i; "
            f"echo pass >$LAVA_RESULT_DIR/results/{long}$i/result; i=$((i + 1)); done",
        )
    )
    node.run_tests()

    assert collected(node).runs["uuid-0"].cases.keys() == {f"{long}{i}" for i in range(300)}


def test_a_file_over_lavas_limit_is_not_attached(node: Node) -> None:
    node.unpack()
    results = node.root / "kept"
    large = node.root / "large"
    with large.open("wb") as stream:
        stream.truncate(26214401)

    ran = node.helper("lava-test-case-attach", "a", str(large), LAVA_RESULT_DIR=str(results))

    assert ran.returncode == 0
    assert ran.stderr == f"lava-test-case-attach: not attached, larger than 25 MiB: {large}\n"
    assert not results.exists()


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("lava-test-case-attach", ("a",), "usage: lava-test-case-attach ID FILE [MIME]"),
        ("lava-test-case-attach", ("a", "b", "c", "d"), "usage: "),
        ("lava-test-case-attach", ("a", "no-file"), "there is no file 'no-file'"),
        ("lava-test-case-attach", ("../a", "/etc/passwd"), "the ID '../a' names no folder"),
        ("lava-test-run-attach", (), "usage: lava-test-run-attach FILE [MIME]"),
        ("lava-test-run-attach", ("no-file",), "there is no file 'no-file'"),
        ("lava-test-case-metadata", (), "usage: lava-test-case-metadata NAME --shell COMMAND..."),
        ("lava-test-case-metadata", ("a", "--shell"), "usage: "),
        ("lava-test-case-metadata", ("", "--shell", "true"), "the name is empty"),
        ("lava-test-raise", (), "usage: lava-test-raise MESSAGE"),
        ("lava-test-reference", ("a",), "usage: lava-test-reference ID --result RESULT"),
        ("lava-test-reference", ("a", "--reference", "x"), "usage: "),
        ("lava-test-feedback", (), "--namespace is missing"),
        ("lava-test-feedback", ("x",), "usage: lava-test-feedback --namespace NAME"),
        ("lava-background-process-start", ("a", "true"), "usage: "),
        ("lava-background-process-stop", (), "usage: "),
        ("lava-background-process-stop", ("a", "b"), "no process of the name 'a' was started"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(
    node: Node, name: str, arguments: tuple[str, ...], message: str
) -> None:
    node.unpack()

    ran = node.helper(name, *arguments, LAVA_RESULT_DIR=str(node.root / "kept"))

    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith(f"{name}: {message}")


def test_a_reference_is_told_and_kept(node: Node) -> None:
    node.unpack()
    url = "https://lab/x?y=1&z=2"

    ran = node.helper(
        *("lava-test-reference", "a", "--result", "fail", "--reference", url),
        LAVA_RESULT_DIR=str(node.root / "kept"),
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == (
        f"<LAVA_SIGNAL_TESTREFERENCE TEST_CASE_ID=a RESULT=fail REFERENCE={url}>\n"
    )
    assert (node.root / "kept/results/a/reference").read_text() == f"{url}\n"


@pytest.mark.parametrize("reference", ["", "a b"])
def test_a_verdict_is_kept_whatever_its_reference(node: Node, reference: str) -> None:
    node.unpack()

    ran = node.helper("lava-test-reference", "a", "--reference", reference, "--result", "fail")

    assert ran.returncode == 0
    assert ran.stdout == (
        f"<LAVA_SIGNAL_TESTREFERENCE TEST_CASE_ID=a RESULT=fail REFERENCE={reference}>\n"
    )


def test_metadata_have_a_name_that_yaml_reads(node: Node) -> None:
    node.unpack(definition("smoke", "lava-test-case-metadata 'a: b' --shell echo 'two  words'"))

    finished = node.run_tests()

    assert collected(node).runs["uuid-0"].metadata == {"a__b": "two  words"}
    assert "lava-test-case-metadata: the name 'a: b' is kept as 'a__b'" in finished.lines


def test_raising_ends_the_test_with_the_message(node: Node) -> None:
    node.unpack(definition("smoke", "lava-test-raise no '<network>' 'at all'", "echo after"))

    finished = node.run_tests()

    assert events.TestRaised(message="no _network_ at all") in finished.events
    assert "after" not in finished.lines


def test_background_processes_of_one_name_all_run_however_fast_they_are_started(node: Node) -> None:
    ticks = node.root / "ticks"
    start = f"lava-background-process-start monitor --cmd 'echo tick >>{ticks}'.$number"
    wait = f"until [ -s {ticks}.$number ]; do sleep 0.1; done"
    node.unpack(
        definition(
            "smoke",
            f"for number in $(seq 20); do {start}; done",
            f"for number in $(seq 20); do {wait}; done",
            "lava-background-process-stop monitor && echo stopped",
        )
    )

    finished = node.run_tests()

    assert "stopped" in finished.lines


def test_background_processes_run_until_they_are_stopped(node: Node) -> None:
    lines = node.root / "lines"
    wait = f"until [ -s {lines} ]; do sleep 0.1; done"
    node.unpack(
        definition(
            "smoke",
            f'lava-background-process-start monitor --cmd "echo tick >>{lines}; sleep 1000"',
            f"lava-background-process-start monitor --cmd 'echo too >>{lines}.too; sleep 1000'",
            f"{wait}; until [ -s {lines}.too ]; do sleep 0.1; done",
            "pids=$(cat $LAVA_RESULT_DIR/background/monitor/pid)",
            f"lava-background-process-stop monitor --attach {lines} text/plain",
            'for pid in $pids; do while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done; done',
            "echo stopped",
            "lava-background-process-stop monitor && echo again",
            "lava-background-process-stop nosuch --attach no-file text/plain && echo nosuch",
        )
    )

    finished = node.run_tests()

    assert {"stopped", "again", "nosuch"} <= {*finished.lines}
    attached = {one.pathname: one for one in collected(node).runs["uuid-0"].attachments}
    assert attached[str(lines).lstrip("/")].content == b"tick\n"
    assert collected(node).runs["uuid-0"].cases == {}
