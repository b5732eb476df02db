# SPDX-License-Identifier: MIT
"""The package's shell programs arrive as what their files say."""

import re
import subprocess
from pathlib import Path

import pytest

import lava_vmgroup
from lava_vmgroup.base.shell_programs import program_text, sh_command, typed_program
from lava_vmgroup.console.framing import MAX_LINE, typed_length

ROOT = Path(lava_vmgroup.__file__).parent
FILES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in ROOT.rglob("*.sh")
    if path.parent.name != "scripts"
}
TYPED = sorted(name for name, text in FILES.items() if "\n# Typed" in text)


def test_every_program_is_used() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py"))

    assert len(FILES) > 20
    assert [name for name in FILES if f'"{name}"' not in code and f"'{name}'" not in code] == []


@pytest.mark.parametrize("name", TYPED)
def test_typed_program_is_one_line_that_a_terminal_takes(name: str) -> None:
    line = typed_program(name, *(["'a b'"] * 6))

    assert "\n" not in line
    assert typed_length(line) < MAX_LINE - 1500  # a line with a key is among the words
    subprocess.run(["sh", "-n", "-c", line], check=True)


def test_words_of_a_typed_program_are_its_arguments(tmp_path: Path) -> None:
    line = typed_program("systems/ask_room.sh", f"'{tmp_path}/not there/yet'")

    said = subprocess.run(
        ["sh", "-c", f'set -- kept; {line}; echo "$1"'], capture_output=True, text=True, check=True
    ).stdout

    assert re.match(r"room \S+ \d+ \d+ \d+\nMemAvailable:.*\nkept\n", said)


def test_program_that_starts_a_shell_can_be_typed_into_any() -> None:
    assert not re.search(r"['!\\]", typed_program("console/start_shell.sh"))


@pytest.mark.parametrize("name", sorted(FILES.keys() - set(TYPED)))
def test_sent_program_is_whole(name: str) -> None:
    text = program_text(name)

    assert "idioms.sh" not in text
    includes = ". idioms.sh" in FILES[name] or name == "base/idioms.sh"
    assert ("find_all_programs() {" in text) == includes
    subprocess.run(["sh", "-n", *sh_command(name)[1:]], check=True)
