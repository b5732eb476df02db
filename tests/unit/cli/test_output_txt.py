# SPDX-License-Identifier: MIT
"""``output.txt`` keeps the lines of the log and of the consoles apart."""

import logging
from pathlib import Path

from lava_vmgroup.cli.output_txt import NAME, OutputText


def lines(folder: Path, *written: bytes | str) -> list[str]:
    """Return the file's lines after bytes of a console and messages of the log."""
    output = OutputText(folder)
    for one in written:
        if isinstance(one, bytes):
            output.console(one)
        else:
            output.emit(logging.LogRecord("lava", logging.INFO, "", 0, one, (), None))
    output.close()
    return (folder / NAME).read_text().split("\n")


def test_message_within_a_line_of_a_console_gets_a_line_of_its_own(tmp_path: Path) -> None:
    first, message, rest, end = lines(tmp_path, b"half", "beside it", b" a line\n")

    assert (first, rest, end) == ("half", " a line", "")
    assert message.startswith("<LAVA_DISPATCHER>")
    assert message.endswith("INFO: beside it")


def test_message_between_lines_makes_no_empty_line(tmp_path: Path) -> None:
    first, message, last, end = lines(tmp_path, b"one\n", "between", b"two\n")

    assert (first, last, end) == ("one", "two", "")
    assert message.endswith("INFO: between")
