# SPDX-License-Identifier: MIT
"""Lines of any text survive their way over a console in parts; a damaged part is known as one."""

from hypothesis import given
from hypothesis import strategies as st

from lava_vmgroup.testshell import parts

LINES = st.lists(st.text(st.characters(blacklist_characters="\n\0", blacklist_categories=["Cs"])))


@given(LINES.filter(bool), st.integers(0, 3000))
def test_lines_come_out_of_their_parts_unchanged(lines: list[str], padding: int) -> None:
    lines = [*lines, "%" * padding]

    received = [parts.parse_part(words) for words in parts.part_words("7", parts.encode(lines))]

    assert [(part.name, part.number, part.count) for part in received if part] == [
        ("7", number, len(received)) for number in range(1, len(received) + 1)
    ]
    assert parts.decode([part.text for part in received if part]) == lines


@given(st.binary().map(lambda data: data.replace(b"\n", b"").replace(b"\0", b"")))
def test_bytes_that_are_not_utf_8_survive(data: bytes) -> None:
    line = data.decode(errors="surrogateescape")

    assert parts.decode(parts.encode([line])) == [line]


@given(LINES.filter(bool))
def test_a_part_holds_nothing_that_a_console_or_a_shell_takes_for_something_else(
    lines: list[str],
) -> None:
    for text in parts.encode(lines):
        assert text.isascii()
        assert not set(text) & set(" \t\r<>$`;&|*?!#\\\"'(){}[]~^")


@given(st.text("abc %<", min_size=1), st.data())
def test_a_damaged_part_is_known_as_one(text: str, data: st.DataObject) -> None:
    (words,) = parts.part_words("7", parts.encode([text]))
    place = data.draw(st.integers(0, len(words) - 1))
    character = data.draw(st.sampled_from(["", "x", "0", " ", "\ufffd", words[place] * 2]))
    damaged = words[:place] + character + words[place + 1 :]

    assert damaged == words or parts.parse_part(damaged) is None
