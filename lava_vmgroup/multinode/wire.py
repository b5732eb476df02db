# SPDX-License-Identifier: MIT
"""The MultiNode protocol as values: frames, requests and replies; no sockets, no clock.

A connection carries one request and one reply.  Each is a frame: eight hexadecimal digits (the
length of the text), then JSON text in ASCII.  Bytes after the frame are ignored.

The following keys and requests are ours.  LAVA's own coordinator ignores the keys and refuses the
requests:

- ``"hold": true``: the coordinator answers the request once its condition is met, not at once with
  ``wait``.  Until then the client keeps its sending side of the connection open; closing it
  withdraws the wait.  A refusal of such a request has a ``reason``.
- ``instance``: an identifier of the program that speaks for a client.  The coordinator refuses any
  other program under the client's name.
- ``call``: the same text for each try of one call, so that the coordinator can repeat an answer
  that got lost.
- ``token``: the coordinator's token, if it was started with one.
- ``lava_failed`` with a ``reason`` reports that the member failed; with ``"ends_group": true`` its
  failure ends the group.
- ``lava_skipped`` with a ``reason`` reports that the group has to do without the member.
- ``lava_watch``, always held, is a member's presence.  If the failure of another member ends the
  group, the coordinator answers it and leaves the connection open.  If a member has no such
  connection for a while and has not left the group, it counts as failed; with
  ``"ends_group": true`` that ends the group.
- ``lava_status`` asks for the state of the groups.
- ``lava_tests`` with ``"ended": true`` reports that the tests of a member answer no more calls,
  with false that they answer again.
- ``"of_test": true``: the wait is one of a test.  If every member waits, the coordinator answers it
  with ``wait`` and a ``standstill``.  The client asks again, with the standstill's number as
  ``seen``, and is then held as usual.  If the group is at its end, the answer is ``nack`` with the
  ``standstill``.
- ``lava_blocked`` with ``seen`` confirms that nothing of a member goes on beside its wait.
- ``lava_waits`` asks for the waits in the client's group, one line each.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lava_vmgroup.base.errors import MultiNodeError
from lava_vmgroup.multinode.frames import (
    HEADER_LENGTH,
    FrameError,
)
from lava_vmgroup.multinode.standstill import Standstill

YEAR_S = 366 * 86400


class RequestRefused(MultiNodeError):
    """A request that cannot be served; the answer to it is nack."""


class Verb(enum.Enum):
    """The kinds of requests."""

    GROUP_DATA = "group_data"
    SEND = "lava_send"
    WAIT = "lava_wait"
    WAIT_ALL = "lava_wait_all"
    SYNC = "lava_sync"
    AGGREGATE = "aggregate"
    CLEAR_GROUP = "clear_group"
    COMPLETE = "complete"
    FAILED = "lava_failed"
    SKIPPED = "lava_skipped"
    WATCH = "lava_watch"
    STATUS = "lava_status"
    TESTS = "lava_tests"
    BLOCKED = "lava_blocked"
    WAITS = "lava_waits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, with its types checked; None stands for a key that was not given."""

    command: Verb
    client: str
    group: str
    group_size: int = 0
    """0 if not given; the group must then exist already."""
    hostname: str | None = None
    role: str | None = None
    message_id: str | None = None
    """None for a missing id and for null; LAVA's coordinator takes one for the other, too."""
    message: Mapping[str, Any] = field(default_factory=dict)
    wait_role: str | None = None
    has_bundle: bool = False
    bundle: Any = None
    sub_id: str | None = None
    reason: str | None = None
    ends_group: bool = False
    canceled: bool = False
    """With `FAILED`: True if the member was canceled, or ended because another one was."""
    ended: bool = False
    of_test: bool = False
    """True if a test waits; the coordinator then reports standstills in the answer."""
    seen: int = 0
    """Number of the last standstill that was reported to the client; 0 for none."""
    instance: str | None = None
    call: str | None = None
    timeout_s: float = 0.0
    """The client's time limit in seconds; 0 if it gives none."""
    size: int = 0
    """Length of the request's JSON text in bytes."""
    hold: bool = False

    @classmethod
    def parse(cls, value: Any, size: int = 0) -> Request:
        """Return the request that a client sent.  Raises `RequestRefused` if it is not valid."""
        if not isinstance(value, Mapping):
            raise RequestRefused("a request is a JSON object")
        name = _text(value, "request")
        commands = {command.value: command for command in Verb}
        if name not in commands:
            raise RequestRefused(f"unknown request {name!r}")
        for key in ("hold", "ends_group", "canceled", "ended", "of_test"):
            if not isinstance(value.get(key, False), bool):
                raise RequestRefused(f"{key} is true or false")
        client, group = _text(value, "client_name"), _text(value, "group_name")
        if not client or not group:
            raise RequestRefused("a request names its client_name and its group_name")
        return cls(
            command=commands[name],
            client=client,
            group=group,
            group_size=_group_size(value),
            hostname=_text(value, "hostname"),
            role=_text(value, "role"),
            message_id=_text(value, "messageID"),
            message=_message(value),
            wait_role=_text(value, "waitrole"),
            has_bundle="bundle" in value,
            bundle=value.get("bundle"),
            sub_id=_text(value, "sub_id"),
            reason=_text(value, "reason"),
            ends_group=value.get("ends_group", False),
            canceled=value.get("canceled", False),
            ended=value.get("ended", False),
            of_test=value.get("of_test", False),
            seen=_seen(value.get("seen", 0)),
            instance=_text(value, "instance"),
            call=_text(value, "call"),
            timeout_s=_seconds(value.get("timeout")),
            size=size,
            hold=wants_hold(value),
        )

    def asks_like(self, other: Request) -> bool:
        """Return True if the two requests, of the same client, wait for the same thing."""
        return (self.command, self.message_id, self.wait_role) == (
            other.command,
            other.message_id,
            other.wait_role,
        )


def wants_hold(value: Any) -> bool:
    """Return True if a request asks to be answered only once its condition is met."""
    return isinstance(value, Mapping) and value.get("hold") is True


def _text(fields: Mapping[str, Any], key: str) -> str | None:
    value = fields.get(key)
    if value is None or isinstance(value, str):
        return value
    raise RequestRefused(f"{key} is text, not {type(value).__name__}")


def _seconds(value: Any) -> float:
    # LAVA's coordinator accepts any value, so a bad one counts as not given.
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(min(value, YEAR_S))
    return 0.0


def _seen(value: Any) -> int:
    if type(value) is int and value >= 0:
        return value
    raise RequestRefused("seen is the number of a standstill")


def _group_size(fields: Mapping[str, Any]) -> int:
    value = fields.get("group_size", 0)
    if (
        isinstance(value, str)
        and value.isascii()
        and value.isdigit()
        and len(value) < HEADER_LENGTH
    ):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if value is None:
        return 0
    raise RequestRefused("group_size is a number of members")


def _message(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    # LAVA's coordinator drops the data of a message that has no id.
    value = fields.get("message") if "messageID" in fields else None
    if value is None or value == "":
        return {}
    if isinstance(value, Mapping):
        return value
    raise RequestRefused(f"a message is a JSON object, not {type(value).__name__}")


class Response(enum.Enum):
    """The kinds of answers; after `WAIT` the client asks again."""

    ACK = "ack"
    NACK = "nack"
    WAIT = "wait"
    GROUP_DATA = "group_data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer; keys whose value is None are not sent."""

    response: Response
    message: Any = None
    roles: Mapping[str, str] | None = None
    """With `GROUP_DATA`: each client's role."""
    failed: Mapping[str, str] | None = None
    """With `NACK`: the members that failed, each with its reason (ours)."""
    canceled: bool = False
    """With `failed`: True if all were canceled, or failed because of a canceled member (ours)."""
    standstill: Standstill | None = None
    """With `WAIT`: every member waits; with `NACK`: the group is at its end (ours)."""
    reason: str | None = None
    """With `NACK`: the reason, sent only to clients that ask for holds (ours)."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object to send."""
        fields = {
            "message": self.message,
            "roles": self.roles,
            "failed": self.failed,
            "canceled": self.canceled or None,
            "standstill": self.standstill.to_json() if self.standstill else None,
            "reason": self.reason,
        }
        given = {key: value for key, value in fields.items() if value is not None}
        return {"response": self.response.value, **given}

    @classmethod
    def parse(cls, value: Any) -> Reply:
        """Return the answer that a coordinator sent.  Raises `FrameError` if it is none."""
        responses = {response.value: response for response in Response}
        word = value.get("response") if isinstance(value, dict) else None
        if not isinstance(word, str) or word not in responses:
            raise FrameError(f"not an answer of a coordinator: {str(value)[:60]}")
        return cls(
            response=responses[word],
            message=value.get("message"),
            roles=_text_map(value, "roles"),
            failed=_text_map(value, "failed"),
            canceled=value.get("canceled") is True,
            standstill=_standstill(value.get("standstill")),
            reason=str(value["reason"]) if "reason" in value else None,
        )


ACK = Reply(response=Response.ACK)
WAIT = Reply(response=Response.WAIT)
"""Every answer that makes a client wait is this very object."""


def _standstill(value: Any) -> Standstill | None:
    try:
        return None if value is None else Standstill.parse(value)
    except ValueError as error:
        raise FrameError(f"{error}: {str(value)[:60]}") from error


def _text_map(fields: Mapping[str, Any], key: str) -> Mapping[str, str] | None:
    value = fields.get(key)
    if value is None:
        return None
    if isinstance(value, dict) and all(isinstance(item, str) for item in value.values()):
        return value
    raise FrameError(f"{key} in a coordinator's answer is not a map of texts: {str(value)[:60]}")
