# SPDX-License-Identifier: MIT
"""Members of a group and their coordinator over loopback: waiting, failing, being canceled."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import (
    Canceled,
    DeadlineExpired,
    MultiNodeError,
    PeerFailed,
)
from lava_vmgroup.multinode.client import MultiNodeClient
from lava_vmgroup.multinode.coordinator import Coordinator
from lava_vmgroup.multinode.frames import encode_frame
from tests.integration.multinode.played import serve, take

if TYPE_CHECKING:
    from tests.integration.multinode.conftest import MakeClient, Start

CANCELED = Canceled("canceled by SIGINT", signal_number=2)


def test_a_group_finds_itself(make_client: MakeClient, start: Start, deadline: Deadline) -> None:
    one, two = make_client("one", role="host"), make_client("two", role="guest")

    first = start(one.group_data, deadline)

    assert two.group_data(deadline) == {"one": "host", "two": "guest"}
    assert first.result() == {"one": "host", "two": "guest"}


def test_waits_bring_what_was_sent(
    make_client: MakeClient, start: Start, deadline: Deadline
) -> None:
    one, two = make_client("one", role="host"), make_client("two", role="guest")
    start(one.group_data, deadline)
    two.group_data(deadline)

    waits = [
        start(two.wait, "m", deadline),
        start(two.wait_all, "m", deadline, "host"),
        start(two.wait_all, "m", deadline, role="host"),
    ]
    one.send("m", {"host_ip": "192.0.2.1", "text": "a=b c"}, deadline)

    for wait in waits:
        assert wait.result() == {"one": {"host_ip": "192.0.2.1", "text": "a=b c"}}


def test_a_wait_for_all_needs_all(
    make_client: MakeClient, start: Start, deadline: Deadline
) -> None:
    one, two = make_client("one"), make_client("two")
    start(one.group_data, deadline)
    two.group_data(deadline)
    one.send("m", {"k": "1"}, deadline)

    wait = start(one.wait_all, "m", deadline)
    two.send("other", {}, deadline)
    two.send("m", {"k": "2"}, deadline)

    assert wait.result() == {"one": {"k": "1"}, "two": {"k": "2"}}


def test_a_sync_can_be_used_again_and_again(
    make_client: MakeClient, start: Start, deadline: Deadline
) -> None:
    one, two = make_client("one"), make_client("two")
    start(one.group_data, deadline)
    two.group_data(deadline)

    def enter_often(client: MultiNodeClient) -> None:
        for _ in range(20):
            client.sync("barrier", deadline)

    entering = [start(enter_often, client) for client in (one, two)]

    assert [member.result() for member in entering] == [None, None]


def test_one_member_calls_from_several_threads(
    make_client: MakeClient, start: Start, deadline: Deadline
) -> None:
    one = make_client("one", group_size=1)
    one.group_data(deadline)

    waits = [start(one.wait, f"m{index}", deadline) for index in range(8)]
    for index in range(8):
        one.send(f"m{index}", {"index": str(index)}, deadline)

    assert [wait.result() for wait in waits] == [
        {"one": {"index": str(index)}} for index in range(8)
    ]


def test_a_member_that_fails_frees_the_others_by_name(
    make_client: MakeClient, start: Start, deadline: Deadline
) -> None:
    clients = [make_client(name, group_size=3) for name in ("one", "two", "three")]
    ready = [start(client.group_data, deadline) for client in clients]
    assert all(len(group.result()) == 3 for group in ready)
    one, two, three = clients

    waits = [start(one.wait, "m", deadline), start(two.sync, "s", deadline)]
    assert three.fail("the kernel did not start", deadline)

    for wait in waits:
        with pytest.raises(PeerFailed, match="three failed: the kernel did not start"):
            wait.result()
    with pytest.raises(PeerFailed, match="three failed"):
        one.wait("later", deadline)


def test_the_host_waits_for_a_failed_vm_to_close(
    make_client: MakeClient, start: Start, deadline: Deadline
) -> None:
    host, vm = make_client("host"), make_client("vm")
    start(host.group_data, deadline)
    vm.group_data(deadline)
    host.send("lava_vm_stop", {}, deadline)

    wait = start(host.wait_all, "lava_vm_stop", deadline)
    vm.fail("no boot", deadline)
    vm.send("lava_vm_stop", {}, deadline)

    assert wait.result() == {"host": {}, "vm": {}}


def test_a_group_ends_when_all_have_cleared_it(
    make_client: MakeClient, start: Start, deadline: Deadline
) -> None:
    one, two = make_client("one"), make_client("two")
    start(one.group_data, deadline)
    two.group_data(deadline)

    one.clear(deadline)
    one.send("still there", {}, deadline)
    two.clear(deadline)

    with pytest.raises(MultiNodeError, match=r"refused lava_send 'm' of one .* 'group': unknown"):
        one.send("m", {}, deadline)


def test_a_refusal_is_not_a_failed_peer(make_client: MakeClient, deadline: Deadline) -> None:
    one = make_client("one", group_size=1)
    one.group_data(deadline)

    with pytest.raises(MultiNodeError, match="nobody has the role 'nobody'") as caught:
        one.wait_all("m", deadline, role="nobody")

    assert not isinstance(caught.value, PeerFailed)


def test_a_cancel_frees_a_call_that_waits_for_its_answer(
    make_client: MakeClient, start: Start, deadline: Deadline, listener: socket.socket
) -> None:
    token = CancelToken()
    client = make_client("one", address=listener.getsockname(), token=token)
    call = start(client.wait, "m", deadline)
    connection, _ = take(listener)

    with connection:
        assert not call.done()
        token.cancel(CANCELED)

        assert call.exception() is CANCELED
        assert not deadline.expired
        assert connection.recv(1) == b"", "the wait is withdrawn"


def test_a_cancel_frees_a_call_that_polls(
    make_client: MakeClient, start: Start, deadline: Deadline, listener: socket.socket
) -> None:
    token = CancelToken()
    client = make_client("one", address=listener.getsockname(), token=token)
    call = start(client.wait, "m", deadline)
    serve(listener, encode_frame({"response": "wait"}))

    token.cancel(CANCELED)

    assert call.exception() is CANCELED
    assert not deadline.expired


def test_a_cancel_frees_a_call_that_looks_for_its_coordinator(
    make_client: MakeClient, deadline: Deadline, on_retry: list[Callable[[], None]]
) -> None:
    token = CancelToken()
    on_retry.append(lambda: token.cancel(CANCELED))

    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        with pytest.raises(Canceled):
            make_client("one", address=deaf.getsockname(), token=token).sync("m", deadline)


def test_after_a_cancel_the_member_speaks_under_another_token(
    make_client: MakeClient, deadline: Deadline
) -> None:
    token = CancelToken()
    client = make_client("one", group_size=1, token=token)
    client.group_data(deadline)
    token.cancel(CANCELED)
    with pytest.raises(Canceled):
        client.send("lava_vm_stop", {}, deadline)

    unwinding = client.with_token(CancelToken())

    unwinding.send("lava_vm_stop", {}, deadline)
    assert unwinding.wait_all("lava_vm_stop", deadline) == {"one": {}}


def test_a_deadline_ends_a_wait_with_its_name(make_client: MakeClient) -> None:
    with pytest.raises(DeadlineExpired, match="waiting for the start"):
        make_client("one").group_data(Deadline.after("waiting for the start", 0.1))


def test_a_deadline_that_has_passed_ends_a_call_before_it_begins(
    coordinator: Coordinator, make_client: MakeClient, deadline: Deadline
) -> None:
    with pytest.raises(DeadlineExpired):
        make_client("one", group_size=1).group_data(Deadline.after("too late", 0))

    with pytest.raises(MultiNodeError, match="unknown group"):
        make_client("one", group_size=1).send("m", {}, deadline)


def test_a_deadline_ends_polling(
    make_client: MakeClient, start: Start, listener: socket.socket
) -> None:
    client = make_client("one", address=listener.getsockname())
    call = start(client.wait, "m", Deadline.after("waiting for the start", 0.3))

    serve(listener, encode_frame({"response": "wait"}))

    with pytest.raises(DeadlineExpired, match="waiting for the start"):
        call.result()


def test_a_coordinator_that_knows_no_holds_is_asked_again(
    make_client: MakeClient, start: Start, deadline: Deadline, listener: socket.socket
) -> None:
    client = make_client("one", address=listener.getsockname(), poll_delay_s=0)
    call = start(client.wait, "m", deadline)

    first = serve(listener, encode_frame({"response": "wait"}))
    second = serve(listener, encode_frame({"response": "ack", "message": {"two": {"n": 1}}}))

    assert first == second
    assert call.result() == {"two": {"n": "1"}}


def test_the_first_node_gets_the_bundles_of_all(
    make_client: MakeClient, start: Start, deadline: Deadline
) -> None:
    one, two = make_client("one"), make_client("two")

    first = start(one.aggregate, {"runs": [1]}, "7.0", deadline)

    assert two.aggregate("b", "7.1", deadline) is None
    assert first.result() == {"one": {"runs": [1]}, "two": "b"}
