# SPDX-License-Identifier: MIT
"""A member's side of the MultiNode protocol: calls that block until the coordinator answers them.

Our coordinator holds a request and answers it once.  LAVA's coordinator answers ``wait`` at once,
and the client asks again after the configured delay.  If a connection breaks off, the client sends
the same request again; its ``call`` lets the coordinator repeat an answer that got lost.
"""

from __future__ import annotations

import math
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import (
    DeadlineExpired,
    GroupStuck,
    InfrastructureError,
    MultiNodeError,
    PeerFailed,
    VMGroupError,
    WaitExpired,
)
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.config.coordinator import Endpoint
from lava_vmgroup.multinode.answers import Received, nobody_sent_yet, received
from lava_vmgroup.multinode.exchange import FIRST_RETRY_S, LAST_RETRY_S, exchanging
from lava_vmgroup.multinode.frames import FrameError, encode_frame
from lava_vmgroup.multinode.presence import SHOWN, OnEnd, blame, present
from lava_vmgroup.multinode.standstill import Standstill, parse_lines
from lava_vmgroup.multinode.wire import Reply, Response, Verb

BLOCKSIZE = 4096
"""Value of ``blocksize``, which LAVA's clients send in every request; no coordinator uses it."""

OnStandstill = Callable[[Standstill], None]
"""Callback that the waiting thread calls when every member of the group waits."""

_LINES_S = 2.0
"""Seconds for which a wait that timed out asks the coordinator for the waits of the group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """The place of one member in its group; the coordinator refuses a second one of its name."""

    group_name: str
    group_size: int
    client_name: str
    role: str


@dataclass(slots=True)
class _Contact:
    """The state of the connection to the coordinator, shared by all clients of one member."""

    is_lost: bool = False
    """True if the last call could not reach the coordinator; the next one then tries only once."""


class MultiNodeClient:
    """A client that speaks for one member of a group; any thread may call it.

    Every call blocks until the coordinator answers.  It raises

    - `DeadlineExpired` when the deadline passes (`WaitExpired` for a wait for other members),
    - the token's reason when the token is canceled,
    - `PeerFailed` when the coordinator ends the wait because another member failed,
    - `MultiNodeError` when the coordinator refuses the request,
    - `InfrastructureError` when the coordinator cannot be reached until the deadline, or is none.

    While the coordinator cannot be reached, each further call tries only once.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        member: Membership,
        token: CancelToken | None = None,
        on_standstill: OnStandstill | None = None,
    ) -> None:
        """Make the client of `member`.

        `on_standstill` makes the waits those of a test.  Such a wait raises `GroupStuck` when the
        group is at its end.
        """
        self._endpoint = endpoint
        self._member = member
        self._token = token or CancelToken()
        self._on_standstill = on_standstill
        self._instance = secrets.token_hex(16)
        self._contact = _Contact()
        self._log = NodeLog(member.client_name)

    def with_token(
        self, token: CancelToken | None, on_standstill: OnStandstill | None = None
    ) -> MultiNodeClient:
        """Return a client of the same member with another token, for calls after a cancel."""
        twin = MultiNodeClient(self._endpoint, self._member, token, on_standstill)
        twin._instance = self._instance
        twin._contact = self._contact
        return twin

    def watch(self, on_end: OnEnd, *, ends_group: bool = False) -> AbstractContextManager[None]:
        """Hold this member's presence in the group within the block, in a thread of its own.

        If the presence ends before `clear`, the coordinator counts the member as failed, so call
        `clear` within the block.  With `ends_group` such a failure ends the group for all members.
        The thread calls `on_end` once if the failure of another member ends the group.  LAVA's
        coordinator refuses the watch; the block then runs without it.
        """
        again = self._base() | {"request": Verb.WATCH.value, "ends_group": ends_group}
        first = {**again, "group_size": self._member.group_size}
        return present(self._address, first, again, on_end)

    def group_data(self, deadline: Deadline) -> dict[str, str]:
        """Wait until the group is complete, and return each member's role."""
        reply = self._call(Verb.GROUP_DATA, deadline, group_size=self._member.group_size)
        if reply.roles is None:
            raise MultiNodeError(
                f"{self._place()} did not say who is in {self._member.group_name!r}"
            )
        return dict(reply.roles)

    def send(self, message_id: str, data: Mapping[str, str], deadline: Deadline) -> None:
        """Send `data` to all members that are in the group."""
        self._call(Verb.SEND, deadline, messageID=message_id, message=dict(data))

    def wait(self, message_id: str, deadline: Deadline) -> Received:
        """Wait until any member, this one included, has sent the message; return the data."""
        return received(self._wait_for(Verb.WAIT, deadline, messageID=message_id))

    def wait_all(self, message_id: str, deadline: Deadline, role: str | None = None) -> Received:
        """Wait until all members, or all that have `role`, have sent it; return the data.

        All members include this one: it has to send before it waits.
        """
        fields = {"messageID": message_id} | ({} if role is None else {"waitrole": role})
        return received(self._wait_for(Verb.WAIT_ALL, deadline, **fields))

    def sync(self, message_id: str, deadline: Deadline) -> None:
        """Wait until all members have entered this sync."""
        self._wait_for(Verb.SYNC, deadline, messageID=message_id)

    def aggregate(self, bundle: Any, sub_id: str, deadline: Deadline) -> Mapping[str, Any] | None:
        """Hand in this member's results, JSON of any kind.

        The member whose `sub_id` ends with ``.0`` waits for the results of all members, and gets
        them by member name.  The others get None at once.
        """
        fields = {"bundle": bundle, "sub_id": sub_id, "group_size": self._member.group_size}
        message = self._wait_for(Verb.AGGREGATE, deadline, **fields).message
        if not sub_id.endswith(".0"):
            return None
        bundles = message.get("bundle") if isinstance(message, dict) else None
        if not isinstance(bundles, dict):
            raise MultiNodeError(f"{self._place()} did not hand out the bundles")
        return bundles

    def fail(
        self, reason: str, deadline: Deadline, *, ends_group: bool = False, canceled: bool = False
    ) -> bool:
        """Report that this member failed or was `canceled`; the waits of the others then end.

        With `ends_group` the watches of the other members report the end of the group.  Return
        False if the coordinator refuses, as LAVA's does; the others then wait until their
        deadlines.
        """
        fields = {"reason": reason, "ends_group": ends_group, "canceled": canceled}
        fields["group_size"] = self._member.group_size
        try:
            self._call(Verb.FAILED, deadline, **fields)
        except MultiNodeError as error:
            self._log.warning("multinode", f"the group was not told of the failure: {error}")
            return False
        return True

    def skip(self, reason: str, deadline: Deadline) -> bool:
        """Report that this member is skipped: syncs and waits for all do without it.

        A skipped member has not failed.  Return False if the coordinator refuses, as LAVA's does;
        the others then wait until their deadlines.
        """
        fields = {"reason": reason, "group_size": self._member.group_size}
        try:
            self._call(Verb.SKIPPED, deadline, **fields)
        except MultiNodeError as error:
            self._log.warning("multinode", f"the group waits for a skipped member: {error}")
            return False
        return True

    def tell_tests(self, deadline: Deadline, *, ended: bool) -> None:
        """Report that this member's tests have ended, or with False that further ones begin.

        LAVA's coordinator refuses that, which is no error: it does not look for standstills.
        """
        try:
            self._call(Verb.TESTS, deadline, ended=ended)
        except MultiNodeError as error:
            self._log.debug("multinode", f"nobody looks for groups that stand still: {error}")

    def tell_blocked(self, standstill: Standstill, deadline: Deadline) -> None:
        """Confirm, for `standstill`, that this member's test runs nothing beside its wait."""
        self._call(Verb.BLOCKED, deadline, seen=standstill.number)

    def who_waits(self) -> Sequence[str]:
        """Return a line for each wait in the group; none if the coordinator gives none in 2 s."""
        asking = self.with_token(None)
        try:
            deadline = Deadline.after("who waits for whom", _LINES_S)
            message = asking._call(Verb.WAITS, deadline).message
            return parse_lines(message.get("lines")) if isinstance(message, dict) else ()
        except (VMGroupError, ValueError) as error:
            self._log.debug("multinode", f"it is not known who waits for whom: {error}")
            return ()

    def clear(self, deadline: Deadline) -> None:
        """Leave the group; the coordinator drops it when all members have left."""
        self._call(Verb.CLEAR_GROUP, deadline, group_size=self._member.group_size)

    def _wait_for(self, command: Verb, deadline: Deadline, **fields: Any) -> Reply:
        if "messageID" in fields:
            # Without a limit of its own: only the name of the message is added for the error.
            awaited = f"{command.value} {fields['messageID']!r}"
            deadline = deadline.exactly(awaited, math.inf)
        if self._on_standstill is not None:
            fields["of_test"] = True
        try:
            return self._call(command, deadline, **fields)
        except DeadlineExpired as error:
            raise WaitExpired(error.message, last_lines=error.last_lines) from error

    def _call(self, command: Verb, deadline: Deadline, **fields: Any) -> Reply:
        """Make a request until the coordinator answers anything but ``wait``; return the answer.

        Tries again, after a pause, when the connection cannot be made or breaks off.
        """
        request = self._base() | {
            "timeout": deadline.limit_s,
            "request": command.value,
            "call": secrets.token_hex(8),
            **fields,
        }
        retry_s = FIRST_RETRY_S
        while True:
            deadline.check()
            try:
                reply = self._ask(command, request, deadline)
                self._contact.is_lost = False
            except OSError as error:
                self._log.debug("multinode-retry", f"{self._place()} did not answer: {error}")
                if not self._contact.is_lost:
                    self._pause(retry_s, deadline)
                if self._contact.is_lost or deadline.expired:
                    self._contact.is_lost = True
                    raise self._unreachable(command, deadline, error) from error
                retry_s = min(2 * retry_s, LAST_RETRY_S)
                continue
            except FrameError as error:
                raise InfrastructureError(
                    f"{self._place()} is not a coordinator: {error}",
                    hint="check the coordinator's address",
                ) from error
            if reply.response is Response.NACK and not nobody_sent_yet(command, reply):
                raise self._refusal(request, reply)
            if reply.response not in {Response.WAIT, Response.NACK}:
                return reply
            if reply.standstill is not None and self._on_standstill is not None:
                request["seen"] = reply.standstill.number
                self._on_standstill(reply.standstill)
            else:
                self._pause(self._endpoint.poll_delay_s, deadline)

    def _ask(self, command: Verb, request: Mapping[str, Any], deadline: Deadline) -> Reply:
        """Make the request once; if a wait times out, its error lists the waits of the group."""
        with exchanging(self._address, self._token, deadline) as exchange:
            try:
                return exchange.ask(encode_frame(request))
            except DeadlineExpired as error:
                # The connection is still open here: closing it withdraws this member's wait.
                if command in _WAITS:
                    raise error.because(self.who_waits()) from error
                raise

    @property
    def _address(self) -> tuple[str, int]:
        return self._endpoint.host, self._endpoint.port

    def _base(self) -> dict[str, Any]:
        """Return the keys of every request: those of LAVA's clients, and ours."""
        secret = {} if self._endpoint.token is None else {"token": self._endpoint.token}
        return {
            "port": self._endpoint.port,
            "blocksize": BLOCKSIZE,
            "poll_delay": self._endpoint.poll_delay_s,
            "host": self._endpoint.host,
            "client_name": self._member.client_name,
            "group_name": self._member.group_name,
            "hostname": socket.gethostname(),
            "role": self._member.role,
            "hold": True,
            "instance": self._instance,
            **secret,
        }

    def _pause(self, pause_s: float, deadline: Deadline) -> None:
        self._token.wait(min(pause_s, deadline.remaining_s))
        self._token.check()

    def _place(self) -> str:
        return f"the coordinator at {self._endpoint.host}:{self._endpoint.port}"

    def _unreachable(
        self, command: Verb, deadline: Deadline, error: OSError
    ) -> InfrastructureError:
        in_vain = (
            f"did not answer {command.value} within {deadline.limit_s:g} s ({deadline.name})"
            if deadline.expired
            else f"is still not there for {command.value} ({deadline.name})"
        )
        return InfrastructureError(
            f"{self._member.client_name}: {self._place()} {in_vain}: {error}",
            hint="check that the coordinator runs and can be reached",
        )

    def _refusal(self, request: Mapping[str, Any], reply: Reply) -> MultiNodeError:
        named = f" {request['messageID']!r}" if "messageID" in request else ""
        what = f"{request['request']}{named} of {self._member.client_name}"
        if reply.standstill is not None:
            return GroupStuck(f"nobody can go on: {'; '.join(reply.standstill.lines)}")
        if reply.failed:
            text = f"{what} was given up: {blame(reply.failed)}"
            return PeerFailed(text, canceled=reply.canceled)
        why = f": {reply.reason[:SHOWN]}" if reply.reason else ""
        return MultiNodeError(
            f"{self._place()} refused {what} in group {self._member.group_name!r}{why}"
        )


_WAITS = {Verb.WAIT, Verb.WAIT_ALL, Verb.SYNC}
