# SPDX-License-Identifier: MIT
"""The helper that installs packages, under every shell a node may have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.testshell.conftest import Node


@pytest.fixture
def apt(node: Node) -> Path:
    """The calls of a package tool, first on PATH, whose first two installations fail."""
    tools = node.root / "first"
    tools.mkdir()
    calls = node.root / "calls"
    calls.touch()
    (tools / "apt-get").write_text(
        f'#!{node.shell}\necho "apt-get $*" >>{calls}\ncat >>{calls}\n'
        f'[ "$1" = update ] || [ "$(grep -c install {calls})" -gt 2 ]\n'
    )
    (tools / "apt-get").chmod(0o755)
    node.environment["LAVA_INSTALL_PAUSE"] = "0"
    node.environment["PATH"] = f"{tools}:{node.environment['PATH']}"
    return calls


def test_packages_are_installed_in_the_end_without_eating_the_console(
    node: Node, apt: Path
) -> None:
    node.unpack()
    tried = ["apt-get update -q", "apt-get install -y -q gcc g++;x"]

    ran = node.helper("lava-install-packages", "gcc", "g++;x", typed="a reply\n")

    assert ran.returncode == 0
    assert apt.read_text().splitlines() == 3 * tried


def test_a_package_that_cannot_be_installed_is_a_failure(node: Node, apt: Path) -> None:
    node.unpack()
    (node.root / "first" / "apt-get").write_text(f"#!{node.shell}\necho try\nexit 100\n")

    ran = node.helper("lava-install-packages", "gcc")

    assert (ran.returncode, ran.stdout) == (100, 5 * "try\n")


def test_packages_are_left_alone_where_nothing_installs_them(node: Node) -> None:
    node.unpack()
    tools = node.root / "few-tools"
    tools.mkdir()
    node.environment["PATH"] = str(tools)

    ran = node.helper("lava-install-packages", "gcc")

    assert (ran.returncode, ran.stdout) == (0, "")
    assert ran.stderr == "lava-install-packages: no package tool here, not installed: gcc\n"
