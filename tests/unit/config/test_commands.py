# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.config.commands import (
    BootCommand,
    CommandKind,
    kernel_arguments,
    parse_lines,
    parse_list,
    substitute,
)

TAGS = {"KERNEL": "job/zImage", "SERVER_IP": "10.0.0.1", "RAMDISK": ""}


def at_prompt(*lines: str) -> tuple[BootCommand, ...]:
    return tuple(BootCommand(kind=CommandKind.AT_PROMPT, text=line) for line in lines)


def parse(text: str) -> tuple[BootCommand, ...]:
    return parse_list(text, place="x.conf: boot_cmds")


def test_commas_and_line_ends_separate_commands() -> None:
    assert parse("\nmmc init,\nmmc part 0,\nboot\n") == at_prompt("mmc init", "mmc part 0", "boot")


def test_outer_quotes_protect_and_inner_quotes_stay() -> None:
    commands = parse(
        "setenv bootargs \"'console=ttySAC2,115200n8\n  root=LABEL=x'\",\nsetenv a '\"b\"', boot"
    )

    assert commands == at_prompt(
        "setenv bootargs 'console=ttySAC2,115200n8   root=LABEL=x'", 'setenv a "b"', "boot"
    )


def test_trailing_comma_sends_nothing() -> None:
    assert parse("boot,\n") == at_prompt("boot")


def test_hash_begins_no_comment() -> None:
    assert parse("expect a #, boot") == (
        BootCommand(kind=CommandKind.EXPECT, text="a #"),
        *at_prompt("boot"),
    )


def test_words_make_a_dialogue() -> None:
    commands = parse(
        'sendline a, sendcontrol c, "expect Type: [a], [g] or [l]?", sendliner, sendline'
    )

    assert [(command.kind, command.text) for command in commands] == [
        (CommandKind.SEND_LINE, "a"),
        (CommandKind.SEND_CONTROL, "c"),
        (CommandKind.EXPECT, "Type: [a], [g] or [l]?"),
        (CommandKind.AT_PROMPT, "sendliner"),
        (CommandKind.SEND_LINE, ""),
    ]


@pytest.mark.parametrize("text", ["setenv a 'b", "expect", "sendcontrol", "sendcontrol xy"])
def test_bad_list_names_its_place(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"x\.conf: boot_cmds") as caught:
        parse(text)

    assert caught.value.hint


@given(
    st.lists(
        st.text(alphabet="ab0 ,;:=#${}'\\\t", min_size=1).map(str.strip).filter(bool), max_size=6
    )
)
def test_double_quoted_commands_come_back_whole(lines: list[str]) -> None:
    quoted = ",\n  ".join('"' + line.replace("\\", "\\\\") + '"' for line in lines)

    assert parse(quoted) == at_prompt(*lines)


def test_lines_of_a_job_are_not_split() -> None:
    assert parse_lines(["setenv a 1,2", "sendline x"], place="job") == (
        *at_prompt("setenv a 1,2"),
        BootCommand(kind=CommandKind.SEND_LINE, text="x"),
    )


def test_substitute_puts_tags_in_and_leaves_u_boot_variables() -> None:
    commands = at_prompt("setenv serverip {SERVER_IP}; tftp ${KERNEL} ${addr} {KERNEL} {lower}")

    assert substitute(commands, TAGS) == at_prompt(
        "setenv serverip 10.0.0.1; tftp ${KERNEL} ${addr} job/zImage {lower}"
    )


def test_substituted_text_is_not_substituted_again() -> None:
    assert substitute(at_prompt("{A}"), {"A": "{B}", "B": "no"}) == at_prompt("{B}")


def test_command_for_a_file_that_the_job_has_not_is_left_out() -> None:
    assert substitute(at_prompt("tftp {RAMDISK}", "boot"), TAGS) == at_prompt("boot")


def test_step_of_a_dialogue_is_never_left_out() -> None:
    step = BootCommand(kind=CommandKind.SEND_LINE, text="{RAMDISK}")

    assert [command.text for command in substitute([step], TAGS)] == [""]


def test_unknown_tag_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"'tftp \{KERNAL\}'.*\{KERNAL\}") as caught:
        substitute(at_prompt("tftp {KERNAL}"), TAGS)

    assert caught.value.hint == "known tags: KERNEL, RAMDISK, SERVER_IP"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("root=/dev/vda2 console=ttyAMA0,38400n8", "root=/dev/vda2 console=ttyAMA0,38400n8"),
        ("root=/dev/vda2,\n  rw,\n  console=ttyAMA0,1", "root=/dev/vda2 rw console=ttyAMA0,1"),
        ('"root=/dev/vda2 console=ttyAMA0,1"', "root=/dev/vda2 console=ttyAMA0,1"),
        ('a="x y" b="z"', 'a="x y" b="z"'),
        ('"a" b "c"', '"a" b "c"'),
        ("", ""),
    ],
)
def test_kernel_arguments_keep_the_commas_of_words(text: str, expected: str) -> None:
    assert kernel_arguments(text) == expected
