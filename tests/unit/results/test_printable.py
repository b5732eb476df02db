# SPDX-License-Identifier: MIT
"""Foreign text is made harmless without losing what it says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_vmgroup.results.printable import one_line, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;new title\x07text", "text"),
        ("\x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]never ends", "never ends"),
        ("\x1bcreset", "reset"),
        ("at the end\x1b", "at the end\ufffd"),
        ("\x9b31m", "\ufffd31m"),
        ("bell\x07", "bell\ufffd"),
        ("a\r\nb\rc\td", "a\nb\nc\td"),
        ("\u202egnp.exe", "\ufffdgnp.exe"),
        ("\ud800", "\ufffd"),
        ("Grüße, 你好 🎉", "Grüße, 你好 🎉"),
        ("[red]&<>", "[red]&<>"),
    ],
)
def test_text_is_made_harmless(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_nothing_to_do_a_second_time(text: str) -> None:
    assert printable(printable(text)) == printable(text)


def test_one_line_is_one_line() -> None:
    assert one_line(" a\n\tb\r\n c ") == "a b c"
