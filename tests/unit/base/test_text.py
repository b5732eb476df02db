# SPDX-License-Identifier: MIT
"""Bytes become text, and text becomes JSON that strict readers of other languages take."""

from __future__ import annotations

import codecs
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_vmgroup.base.text import decoded, json_text, legible

ANY_TEXT = st.text(st.characters(exclude_categories=()))


def test_byte_that_is_no_text_becomes_its_number() -> None:
    text = b"latin1-\xe4 and \xc3\xa4".decode(errors="surrogateescape")

    assert legible(text) == "latin1-\\xe4 and ä"


@given(st.recursive(ANY_TEXT, lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner)))
def test_json_holds_no_half_of_a_character(document: Any) -> None:
    text = json_text(document)

    assert text.isascii()
    json.dumps(json.loads(text), ensure_ascii=False).encode()


def test_number_that_json_does_not_have_becomes_its_text() -> None:
    assert json_text([1.5, float("inf"), float("nan")]) == '[1.5, "inf", "nan"]'


def test_object_without_a_form_in_json_becomes_its_text() -> None:
    assert json.loads(json_text({"error": ValueError("\udce4")})) == {"error": "\\xe4"}


@pytest.mark.parametrize(
    "content",
    [
        "ä\r\n".encode(),
        codecs.BOM_UTF8 + "ä\r\n".encode(),
        "ä\r\n".encode("utf-16"),
        codecs.BOM_UTF16_BE + "ä\r\n".encode("utf-16-be"),
        "ä\r\n".encode("utf-32"),
    ],
)
def test_byte_order_mark_names_the_encoding(content: bytes) -> None:
    assert decoded(content) == "ä\r\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a\nb \xe4\n", r"is not UTF-8 text \(byte 4\): line 2 has 0xe4; save the file as utf-8"),
        (b"a\nb\0\0\0", "has a NUL character in line 2; is it whole, and is it text?"),
        (codecs.BOM_UTF16_LE + b"a", r"is not UTF-16 text \(byte 2\)"),
    ],
)
def test_file_that_is_no_text_is_refused_with_the_place(content: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        decoded(content)
