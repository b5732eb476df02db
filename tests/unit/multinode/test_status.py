# SPDX-License-Identifier: MIT
"""A coordinator that tells nonsense, or worse, harms nobody who asks for its status."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from rich.console import Console

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import MultiNodeError
from lava_vmgroup.config.coordinator import Endpoint
from lava_vmgroup.multinode.frames import encode_frame
from lava_vmgroup.multinode.status import Status, ask_status, render_status

ESCAPE = "\x1b]0;owned\x07\x9b31m\u202e\r"
MEMBER = {"role": None, "hostname": "h", "failed": None, "cleared": False, "present": True}
WAIT = {"client": "a", "request": "lava_sync", "messageID": "m", "waitrole": None, "for_s": 1}
LINE = "a waits in lava-sync 'm' for b"
GROUP = {"size": 2, "age_s": 3.0, "members": {"a": MEMBER}, "waits": [WAIT], "lines": [LINE]}


@contextmanager
def coordinator(groups: Any) -> Iterator[Endpoint]:
    """One that answers one request with this status."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(encode_frame({"response": "ack", "message": groups}))

        thread = threading.Thread(target=answer)
        thread.start()
        yield Endpoint(host="127.0.0.1", port=server.getsockname()[1])
        thread.join()


def asked(groups: Any) -> Status:
    with coordinator({"groups": groups}) as endpoint:
        return ask_status(endpoint, Deadline.after("the test", 60.0))


def test_a_status_is_shown() -> None:
    shown = io.StringIO()
    Console(file=shown, width=100).print(render_status(asked({"nightly": GROUP})))

    assert "nightly: 1 of 2 members, 3 s" in shown.getvalue()
    assert "lava_sync m" in shown.getvalue()
    assert LINE in shown.getvalue()


@pytest.mark.parametrize(
    "groups",
    [
        None,
        [],
        {"g": None},
        {"g": {}},
        {"g": {**GROUP, "size": ESCAPE}},
        {"g": {**GROUP, "age_s": ESCAPE}},
        {"g": {**GROUP, "members": [MEMBER]}},
        {"g": {**GROUP, "members": {"a": {**MEMBER, "role": [ESCAPE]}}}},
        {"g": {**GROUP, "members": {"a": {"role": "r"}}}},
        {"g": {**GROUP, "waits": [{**WAIT, "for_s": "long"}]}},
        {"g": {**GROUP, "waits": [{**WAIT, "request": {}}]}},
        {"g": {**GROUP, "lines": LINE}},
        {"g": {**GROUP, "lines": [1]}},
    ],
)
def test_a_status_of_another_shape_is_refused(groups: Any) -> None:
    with pytest.raises(MultiNodeError, match="tells a status that makes no sense"):
        asked(groups)


def test_no_text_of_a_status_reaches_the_terminal_as_it_is() -> None:
    member = {**MEMBER, "role": ESCAPE, "hostname": ESCAPE, "failed": ESCAPE}
    wait = {**WAIT, "client": ESCAPE, "request": ESCAPE, "messageID": ESCAPE, "waitrole": ESCAPE}
    group = {**GROUP, "members": {ESCAPE: member}, "waits": [wait]}
    shown = io.StringIO()

    Console(file=shown, width=200).print(render_status(asked({ESCAPE: group})))

    assert "1 of 2 members" in shown.getvalue()
    assert not {"\x1b", "\x07", "\x9b", "\u202e", "\r"} & {*shown.getvalue()}
