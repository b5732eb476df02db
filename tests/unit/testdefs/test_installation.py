# SPDX-License-Identifier: MIT
"""The script that installs what a test needs, and what of it may be skipped."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lava_vmgroup.testdefs.definition import TestDefinition
from lava_vmgroup.testdefs.overlay import (
    OverlayTest,
)
from lava_vmgroup.testdefs.steps import SkipInstall
from tests.unit.testdefs.overlays import FULL, ROOT, SPEC, members, text_of


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
