# SPDX-License-Identifier: MIT
"""Helpers that list, remove and add a system's packages, sources and keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lava_vmgroup.testshell import contexts
from tests.integration.testshell.system import program

if TYPE_CHECKING:
    from tests.integration.testshell.conftest import Node


PACKAGES = [
    pytest.param(
        "dpkg-query",
        "-W -f ${db:Status-Abbrev}package: ${Package} : ${Version}\\n",
        "ii package: bash : 5.2-1\nrc package: gone : 1\nii  package: libc6 : 2:2.36\n",
        [("bash", "5.2-1"), ("libc6", "2:2.36")],
    ),
    pytest.param(
        "opkg",
        "list-installed",
        "bash - 5.2-r0\nlibc - 2.36-r1 - extra\n",
        [("bash", "5.2-r0"), ("libc", "2.36-r1")],
    ),
    pytest.param(
        "apk",
        "info -v",
        "gtk-doc-1.2-r0\nbash-5.2-r3\n",
        [("gtk-doc", "1.2-r0"), ("bash", "5.2-r3")],
    ),
]


@pytest.mark.parametrize(("tool", "arguments", "listing", "packages"), PACKAGES)
def test_installed_packages_are_listed(
    node: Node,
    few_tools: Path,
    tool: str,
    arguments: str,
    listing: str,
    packages: list[tuple[str, str]],
) -> None:
    program(few_tools, tool, (arguments, listing))

    ran = node.helper("lava-installed-packages")

    assert ran.returncode == 0
    assert list(contexts.packages(ran.stdout)) == packages


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("apt-get", "remove -y -q a b"),
        ("dnf", "remove -y a b"),
        ("yum", "remove -y a b"),
        ("opkg", "remove a b"),
        ("apk", "del a b"),
    ],
)
def test_packages_are_removed(node: Node, few_tools: Path, tool: str, arguments: str) -> None:
    program(few_tools, tool, (arguments, "removed\n"))

    ran = node.helper("lava-remove-packages", "a", "b")

    assert (ran.returncode, ran.stdout) == (0, "removed\n")
    assert node.helper("lava-remove-packages", "other").returncode == 1


def test_packages_stay_where_nothing_removes_them(node: Node, few_tools: Path) -> None:
    ran = node.helper("lava-remove-packages", "a")

    assert (ran.returncode, ran.stdout) == (0, "")
    assert ran.stderr == "lava-remove-packages: no package tool here, not removed: a\n"


def test_the_distribution_is_that_of_os_release(node: Node) -> None:
    node.unpack()
    release = Path("/etc/os-release").read_text()
    (wanted,) = (line[3:].strip('"') for line in release.splitlines() if line.startswith("ID="))

    assert node.helper("lava-distro").stdout == f"{wanted}\n"


def test_sources_are_added_to_apts_list(node: Node) -> None:
    node.unpack()
    lists = node.root / "lists"
    lists.mkdir()

    ran = node.helper(
        "lava-add-sources",
        "deb http://lab/debian stable main",
        "nonsense",
        LAVA_SOURCES_DIR=str(lists),
    )

    assert ran.returncode == 0
    assert (lists / "lava.list").read_text() == "deb http://lab/debian stable main\n"
    assert ran.stderr == "lava-add-sources: not added: nonsense\n"


def test_a_key_that_cannot_be_added_is_told_but_no_failure(node: Node, few_tools: Path) -> None:

    ran = node.helper("lava-add-keys", "1234ABCD")

    assert (ran.returncode, ran.stdout) == (0, "")
    assert ran.stderr == "lava-add-keys: not known how to do it on this system: 1234ABCD\n"


def test_a_key_may_be_a_package(node: Node, few_tools: Path) -> None:
    program(few_tools, "apt-get", ("install -y -q lab-keyring", "installed\n"))

    ran = node.helper("lava-add-keys", "lab-keyring", "other-keyring")

    assert (ran.returncode, ran.stdout) == (0, "installed\n")
    assert ran.stderr == "lava-add-keys: it failed: other-keyring\n"
