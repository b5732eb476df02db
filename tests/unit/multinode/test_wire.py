# SPDX-License-Identifier: MIT
"""Frames arrive in any pieces, and only well-formed ones are taken."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_vmgroup.multinode.frames import DEPTH_LIMIT, FrameDecoder, FrameError, encode_frame
from lava_vmgroup.multinode.wire import Reply, Request, RequestRefused, Response, Verb

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def decode(*chunks: bytes, limit: int = 1000) -> Any:
    decoder = FrameDecoder(limit)
    complete = [decoder.feed(chunk) for chunk in chunks]
    assert complete[-1]
    return decoder.value


@pytest.mark.parametrize(
    ("value", "frame"),
    [
        ({"response": "ack"}, b'00000013{"response": "ack"}'),
        ({"response": "nack"}, b'00000014{"response": "nack"}'),
        ({"k": "\u00fc"}, b'0000000F{"k": "\\u00fc"}'),
    ],
)
def test_frames_are_those_of_lava_to_the_byte(value: Any, frame: bytes) -> None:
    assert encode_frame(value) == frame


def test_a_frame_arrives_one_byte_at_a_time() -> None:
    frame = encode_frame({"response": "ack"})
    decoder = FrameDecoder(100)

    complete = [decoder.feed(frame[index : index + 1]) for index in range(len(frame))]

    assert complete == [False] * (len(frame) - 1) + [True]
    assert decoder.value == {"response": "ack"}


@given(value=JSON, cuts=st.lists(st.integers(min_value=0, max_value=200)))
def test_a_frame_torn_anywhere_carries_the_same_value(value: Any, cuts: list[int]) -> None:
    frame = encode_frame(value)
    edges = sorted({0, len(frame), *(cut for cut in cuts if cut < len(frame))})

    chunks = [frame[start:end] for start, end in itertools.pairwise(edges)]

    assert decode(*chunks, limit=len(frame)) == value


def test_a_lower_case_header_is_taken_as_lava_takes_it() -> None:
    assert decode(b'0000000a"12345678"') == "12345678"


def test_bytes_after_the_frame_mean_nothing() -> None:
    assert decode(b"000000021", b"2and more", b"and more") == 12


def test_there_is_no_value_before_the_frame_is_complete() -> None:
    decoder = FrameDecoder(10)
    decoder.feed(b"00000002")

    with pytest.raises(LookupError):
        _ = decoder.value


@pytest.mark.parametrize(
    "garbage",
    [
        b"G",
        b"GET / HTTP/1.1\r\n\r\n",
        b"+0000002{}",
        b" 0000002{}",
        b"0x000002{}",
        b"\xff\xfe",
        b"00000000",
        b"00000005hello",
        b"00000003\xff\xff\xff",
        b"00000004{}{}",
    ],
)
def test_garbage_is_a_frame_error(garbage: bytes) -> None:
    with pytest.raises(FrameError):
        FrameDecoder(100).feed(garbage)


def test_a_frame_over_the_limit_is_refused_before_its_text_comes() -> None:
    assert FrameDecoder(10).feed(b"0000000A") is False
    with pytest.raises(FrameError, match="longer than the limit"):
        FrameDecoder(10).feed(b"0000000B")


@pytest.mark.parametrize("depth", [DEPTH_LIMIT, 50_000])
def test_text_that_nests_too_deep_is_a_frame_error(depth: int) -> None:
    text = b"[" * depth + b"1" + b"]" * depth

    with pytest.raises(FrameError):
        decode(b"%08X" % len(text) + text, limit=1_000_000)


def test_text_of_more_values_than_a_machine_wants_to_hold_is_a_frame_error() -> None:
    text = b"[" + b"[]," * 1_000_000 + b"1]"

    with pytest.raises(FrameError, match="values"):
        decode(b"%08X" % len(text) + text, limit=len(text))


def test_text_that_nests_as_deep_as_allowed_is_taken() -> None:
    depth = DEPTH_LIMIT - 1
    text = b"[" * depth + b"1" + b"]" * depth

    assert decode(b"%08X" % len(text) + text)


def request(**fields: Any) -> dict[str, Any]:
    return {"request": "lava_send", "client_name": "c", "group_name": "g", **fields}


def test_a_request_of_a_lava_client_is_understood() -> None:
    parsed = Request.parse(
        request(group_size="2", hostname="h", role="r", messageID="m", message=None, port=3079)
    )

    assert parsed == Request(
        command=Verb.SEND,
        client="c",
        group="g",
        group_size=2,
        hostname="h",
        role="r",
        message_id="m",
    )


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "lava_send",
        {},
        {"request": "lava_send"},
        {"request": "lava_send", "client_name": "c"},
        {"request": "lava_send", "group_name": "g"},
        request(request="lava-send"),
        request(request=["lava_send"]),
        request(request=None),
        request(client_name=1),
        request(client_name=""),
        request(group_name={}),
        request(hostname=[]),
        request(role=7),
        request(messageID={}),
        request(messageID="m", message="text"),
        request(messageID="m", message=["text"]),
        request(waitrole=[]),
        request(sub_id=10.0),
        request(reason=False),
        request(hold="yes"),
        request(ends_group=1),
        request(instance=1),
        request(call=[]),
        request(group_size=-1),
        request(group_size=True),
        request(group_size=1.5),
        request(group_size="two"),
        request(group_size="9" * 5000),
    ],
)
def test_a_malformed_request_is_refused(value: Any) -> None:
    with pytest.raises(RequestRefused):
        Request.parse(value)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(response=Response.ACK),
        Reply(response=Response.ACK, message={}),
        Reply(response=Response.GROUP_DATA, roles={"c": "r"}),
        Reply(response=Response.NACK, failed={"c": "it broke"}),
        Reply(response=Response.NACK, reason="no such group"),
    ],
)
def test_a_reply_survives_the_wire(reply: Reply) -> None:
    assert Reply.parse(decode(encode_frame(reply.to_json()))) == reply


@pytest.mark.parametrize(
    "value",
    [None, [], {}, {"response": "maybe"}, {"response": []}, {"response": "nack", "failed": "all"}],
)
def test_what_is_no_answer_is_a_frame_error(value: Any) -> None:
    with pytest.raises(FrameError):
        Reply.parse(value)
