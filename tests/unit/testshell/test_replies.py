# SPDX-License-Identifier: MIT
"""Replies to helpers, and requests that helpers may make."""

from __future__ import annotations

import pytest

from lava_vmgroup.base.errors import MultiNodeError
from lava_vmgroup.testshell import patterns, replies
from lava_vmgroup.testshell.events import MultiNodeApi


def test_arguments_are_split_at_their_first_equals_sign() -> None:
    assert patterns.parse_arguments(["a=b", "c=d=e", "f="]) == {"a": "b", "c": "d=e", "f": ""}


@pytest.mark.parametrize("word", ["", "a", "=", "=b"])
def test_arguments_without_a_key_or_an_equals_sign_are_refused(word: str) -> None:
    with pytest.raises(ValueError, match="is not KEY=VALUE"):
        patterns.parse_arguments(["good=1", word])


def test_replies_are_lavas_lines() -> None:
    data = {"vm1": {"ip": "10.0.0.1", "port": "80"}, "vm2": {}, "vm3": {"url": "a=b"}}

    assert replies.reply_sync(True) == "<LAVA_SYNC_COMPLETE>"
    assert replies.reply_sync(False) == "<LAVA_SYNC_COMPLETE nack>"
    assert replies.reply_wait({}) == "<LAVA_WAIT_COMPLETE>"
    assert replies.reply_wait(data) == (
        "<LAVA_WAIT_COMPLETE vm1:ip=10.0.0.1 vm1:port=80 vm3:url=a=b>"
    )
    assert replies.reply_wait(None) == "<LAVA_WAIT_COMPLETE nack>"
    assert replies.reply_wait_all({"vm1": {"a": "b"}}) == "<LAVA_WAIT_ALL_COMPLETE vm1:a=b>"
    assert replies.reply_wait_all(None) == "<LAVA_WAIT_ALL_COMPLETE nack>"


def test_a_refusal_is_known_for_every_call_that_waits() -> None:
    assert {api: replies.reply_nack(api) for api in MultiNodeApi} == {
        MultiNodeApi.SEND: None,
        MultiNodeApi.SYNC: "<LAVA_SYNC_COMPLETE nack>",
        MultiNodeApi.WAIT: "<LAVA_WAIT_COMPLETE nack>",
        MultiNodeApi.WAIT_ALL: "<LAVA_WAIT_ALL_COMPLETE nack>",
    }


@pytest.mark.parametrize("value", ["a\nb", "a\0b", "\ud800"])
def test_data_that_no_cache_file_holds_are_refused(value: str) -> None:
    with pytest.raises(MultiNodeError, match="the reply to lava-wait-all cannot be typed"):
        replies.reply_wait_all({"vm1": {"key": value}})


@pytest.mark.parametrize("value", ["a b", "a>b", "<", "a\tb", "a\x03b", "é", "", " ", "x" * 1000])
def test_a_reply_is_one_line_only_where_the_line_carries_it_unchanged(value: str) -> None:
    reply = replies.reply_wait({"vm1": {"key": value}})

    assert isinstance(reply, str) == (value == "")


def test_a_reply_of_a_megabyte_is_typed_and_one_of_more_is_refused() -> None:
    largest = (1 << 20) - len("a:b=\n")

    reply = replies.reply_wait({"a": {"b": "x" * largest}})

    assert isinstance(reply, replies.PartsReply)
    assert max(map(len, reply.lines("1"))) < 1000
    with pytest.raises(MultiNodeError, match="the data have more than 1048576 bytes"):
        replies.reply_wait({"a": {"b": "x" * (largest + 1)}})
