# SPDX-License-Identifier: MIT
"""Trees that travel apart from the overlay: each test gets a copy of its own, in any shell."""

import io
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

from lava_vmgroup.testdefs.definition import TestDefinition
from lava_vmgroup.testdefs.overlay import (
    OverlaySpec,
    OverlayTest,
    build_overlay,
    placing_command,
    trees_apart,
)
from lava_vmgroup.testdefs.tree import Tree, TreeEntry, pack, read_folder
from tests.integration.testshell.conftest import Node

LIMIT_S = 60.0
LARGE = TreeEntry(path="data/large", content=b"x" * (1 << 20))
TREE: Tree = (
    LARGE,
    TreeEntry(path="data/tool", content=b"#!/bin/sh\n", executable=True),
    TreeEntry(path="data/.hidden", content=b"h"),
    TreeEntry(path="link", link="data/tool"),
    TreeEntry(path="testdef.yaml", content=b"theirs"),
    TreeEntry(path="uuid/inside", content=b"theirs"),
)
TOOL: Tree = (TreeEntry(path="tool.c", content=b"int main;"),)
DEFINITION = TestDefinition(name="t", format="1.0", description="", run_steps=("true",))


def overlay_test(uuid: str, files: Tree, *repositories: tuple[str, Tree]) -> OverlayTest:
    return OverlayTest(
        definition=DEFINITION, uuid=uuid, source="ours", files=files, repositories=repositories
    )


def placed(tests: Sequence[OverlayTest], node: Node) -> list[Path]:
    """The directories of tests whose overlay was unpacked on a node."""
    directory = node.directory
    spec = OverlaySpec(
        node="vm1", role="guest", group=[], tests=tests, lava_test_dir=str(directory)
    )
    env = node.environment
    archives = [("/", build_overlay(spec))]
    for number, tree in enumerate(trees_apart(tests)):
        pack(tree, file := io.BytesIO())
        archives.append((f"{directory}/trees/{number}", file.getvalue()))
    for folder, archive in archives:
        words = ["tar", "-xf", "-", "-C", folder]
        subprocess.run(words, input=archive, env=env, check=True, timeout=LIMIT_S)
    command = placing_command(spec).removeprefix("sh ")
    subprocess.run([node.shell, command], env=env, check=True, timeout=LIMIT_S)
    assert not (directory / "trees").exists()
    return [directory / f"tests/{number}_{test.uuid}" for number, test in enumerate(tests)]


def found(folder: Path) -> dict[str, TreeEntry]:
    return {entry.path: entry for entry in read_folder(folder)[0]}


def test_every_test_has_all_trees_and_its_own_files_in_place_of_theirs(node: Node) -> None:
    tests = [
        overlay_test("a", TREE),
        overlay_test("b", TREE, ("deep/tool", TOOL), ("data", TOOL)),
        overlay_test("c", TOOL, ("large", TREE)),
        overlay_test("d", TOOL),
    ]

    first, second, third, fourth = map(found, placed(tests, node))

    theirs = {entry.path: entry for entry in TREE if entry.path.partition("/")[0] == "data"}
    generated = {"testdef.yaml", "testdef_metadata", "uuid", "run.sh"}
    for one in (first, second, third, fourth):
        assert one["testdef.yaml"].content == b"ours"
        assert one["uuid"].content in (b"a\n", b"b\n", b"c\n", b"d\n")
    assert first.keys() == {*theirs, "link", *generated}
    assert first["link"].link == "data/tool"
    assert {path: first[path] for path in theirs} == theirs
    assert second.keys() == {*first, "deep/tool/tool.c", "data/tool.c"}
    assert third.keys() == {f"large/{entry.path}" for entry in TREE} | {"tool.c"} | generated
    assert third["large/testdef.yaml"].content == b"theirs"
    assert fourth.keys() == {"tool.c"} | generated


def test_copies_are_no_links_to_each_other(node: Node) -> None:
    tests = [overlay_test("a", TREE), overlay_test("b", TREE)]

    first, second = placed(tests, node)
    (first / "data/large").write_bytes(b"written")

    assert (second / "data/large").read_bytes() == LARGE.content


def test_only_what_is_heavy_travels_apart_and_once() -> None:
    half: Tree = (TreeEntry(path="half", content=b"x" * (1 << 19)),)

    assert trees_apart([overlay_test("a", half)]) == ()
    assert trees_apart([overlay_test("a", TOOL), overlay_test("b", TOOL)]) == ()
    assert trees_apart([overlay_test("a", half), overlay_test("b", half)]) == (half,)
    # The same content from another place.
    again = tuple(TreeEntry(path=one.path, content=bytes(bytearray(one.content))) for one in half)
    assert trees_apart([overlay_test("a", half), overlay_test("b", again)]) == (half,)


def test_archive_of_a_tree_is_the_same_for_all_nodes() -> None:
    pack(TREE, first := io.BytesIO())
    pack(TREE, second := io.BytesIO())

    assert first.getvalue() == second.getvalue()
    with tarfile.open(fileobj=io.BytesIO(first.getvalue())) as archive:
        assert "data/large" in archive.getnames()
