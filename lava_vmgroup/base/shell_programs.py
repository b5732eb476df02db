# SPDX-License-Identifier: MIT
"""The shell programs of the package: files whose text is sent to a host, or typed at a console.

The line ``. idioms.sh`` of a program that is sent becomes the text of that file.  A program that is
typed becomes one line, so each line of its file ends in a way that the next one may follow it after
a blank.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

_COMMENT = re.compile(r"^[ \t]*#.*\n", re.MULTILINE)


def sh_command(name: str, *arguments: str) -> list[str]:
    """Return the command that runs the program in a file, such as ``vms/store.sh``.

    The first argument is the program's ``$0``.
    """
    return ["sh", "-c", program_text(name), *arguments]


@cache
def program_text(name: str) -> str:
    """Return the text of the program in a file, such as ``vms/supervisor.sh``."""
    return _text(name).replace(". idioms.sh\n", _text("base/idioms.sh"))


def typed_program(name: str, *words: str) -> str:
    """Return the program in a file as one line of shell; `words`, if any, are its arguments.

    They are words of shell, so the caller quotes them.
    """
    lines = (line.strip() for line in _text(name).splitlines())
    program = " ".join(line for line in lines if line)
    return f"lava_do() {{ {program}; }}; lava_do {' '.join(words)}" if words else program


def without_comments(text: str) -> str:
    """Return a program without the lines that are comments; the one with ``#!`` goes, too."""
    return _COMMENT.sub("", text)


def _text(name: str) -> str:
    package, _, file = name.rpartition("/")
    found = resources.files(f"lava_vmgroup.{package.replace('/', '.')}") / file
    return without_comments(found.read_text(encoding="utf-8"))
