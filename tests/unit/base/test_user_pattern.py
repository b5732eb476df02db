# SPDX-License-Identifier: MIT
"""Patterns that could take exponential time on a line are told from those that cannot."""

from __future__ import annotations

import re
import warnings

import pytest

from lava_vmgroup.base.user_pattern import (
    UserPattern,
    expression_problem,
    has_nested_quantifiers,
    pattern_problem,
)


@pytest.mark.parametrize(
    "text",
    [
        "(a+)+",
        "(a*)*",
        "(?:a+)*",
        "(?P<x>a+)+",
        "((a+)b)*",
        "(a+){2,}",
        "(a{1,})*",
        "(a{1,5})*",
        "(?i:a+)*",
        "(a+b?)*?",
        "(?#a comment)(a+)+",
        r"(\(a+)*",
        "([)]+)*",
        "([]]+)*",
        "(?=(a+)+b)",
        "(a+|b)*",
    ],
)
def test_a_repeated_group_with_a_repetition_is_found(text: str) -> None:
    re.compile(text)

    assert has_nested_quantifiers(text)


@pytest.mark.parametrize(
    "text",
    [
        "a+b*",
        "(?P<id>[a-z]+) (?P<result>PASS|FAIL)",
        r"(?:\s+\d+)?",
        "(ab)+",
        "(a+)b+",
        "(a+){3}",
        "(a{3})*",
        r"(\+)*",
        "([+*]{2})+",
        "(a)+(b)+",
        "(?#(a+)x+",
        r"(?P<test_case_id>.*-*)\s+:\s+(?P<result>PASS)",
        r"\(a+\)*",
        "(?<=a)b+",
    ],
)
def test_other_patterns_are_let_through(text: str) -> None:
    re.compile(text)

    assert not has_nested_quantifiers(text)


@pytest.mark.parametrize("text", ["[[](?P<test_case_id>a)[]] (?P<result>b)", "[a||b](?P<result>b)"])
def test_expression_of_which_python_warns_is_taken_without_a_word(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert expression_problem(text) is None
        UserPattern(text).match("x")


def test_flags_may_stand_anywhere_as_in_lava() -> None:
    text = "(?P<test_case_id>a) (?P<result>pass)(?i)"

    assert pattern_problem(text) is None
    assert UserPattern(text).match("A PASS") is not None


def test_pattern_for_measurements_needs_no_result() -> None:
    text = "(?P<test_case_id>a) (?P<measurement>b)"

    assert pattern_problem(text) == "expected the groups (?P<result>…)"
    assert pattern_problem(text, without_result=True) is None
