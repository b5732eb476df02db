# SPDX-License-Identifier: MIT
"""Answers to a member: right ones, missing ones, and those of another program."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import (
    InfrastructureError,
    MultiNodeError,
)
from lava_vmgroup.multinode.client import MultiNodeClient
from lava_vmgroup.multinode.coordinator import Coordinator
from lava_vmgroup.multinode.frames import encode_frame
from tests.integration.multinode.played import serve, take

if TYPE_CHECKING:
    from tests.integration.multinode.conftest import MakeClient, Start


def test_requests_have_the_fields_of_a_lava_client(
    make_client: MakeClient, start: Start, deadline: Deadline, listener: socket.socket
) -> None:
    host, port = listener.getsockname()
    client = make_client("one", address=(host, port))
    call = start(client.wait_all, "m", deadline, role="guest")

    request = serve(listener, encode_frame({"response": "ack", "message": {}}))

    assert call.result() == {}
    assert request == {
        "port": port,
        "blocksize": 4096,
        "poll_delay": 3600,
        "timeout": 60,
        "host": host,
        "client_name": "one",
        "group_name": "group",
        "hostname": socket.gethostname(),
        "role": "tester",
        "hold": True,
        "instance": request["instance"],
        "call": request["call"],
        "request": "lava_wait_all",
        "messageID": "m",
        "waitrole": "guest",
    }


def test_an_answer_in_small_pieces_is_put_together(
    make_client: MakeClient, start: Start, deadline: Deadline, listener: socket.socket
) -> None:
    client = make_client("one", address=listener.getsockname())
    call = start(client.wait, "m", deadline)
    connection, _ = take(listener)

    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in encode_frame({"response": "ack", "message": {"two": {"k": "\u00fc"}}}):
            connection.sendall(bytes([byte]))

    assert call.result() == {"two": {"k": "\u00fc"}}


def test_a_coordinator_that_is_not_there_is_an_infrastructure_error(
    make_client: MakeClient,
) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        host, port = deaf.getsockname()

        with pytest.raises(InfrastructureError, match=f"{host}:{port} did not answer lava_sync"):
            make_client("one", address=(host, port)).sync("m", Deadline.after("the sync", 0.2))


def test_a_coordinator_that_was_waited_for_in_vain_is_not_waited_for_again(
    make_client: MakeClient, deadline: Deadline
) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        host, port = deaf.getsockname()
        client = make_client("one", address=(host, port), group_size=1)
        with pytest.raises(InfrastructureError):
            client.sync("m", Deadline.after("the sync", 0.2))

        with pytest.raises(InfrastructureError, match=f"{host}:{port} is still not there"):
            client.with_token(CancelToken()).fail("reason", Deadline.after("cleaning up", 20))

    with Coordinator((host, port)):
        assert client.group_data(deadline) == {"one": "tester"}


def test_a_coordinator_that_comes_late_is_found(
    make_client: MakeClient, deadline: Deadline, on_retry: list[Callable[[], None]]
) -> None:
    with socket.socket() as port_holder:
        port_holder.bind(("127.0.0.1", 0))
        address = port_holder.getsockname()
        late = Coordinator(address)

        def appear() -> None:
            port_holder.close()
            late.__enter__()

        on_retry.append(appear)
        try:
            client = make_client("one", address=address, group_size=1)
            assert client.group_data(deadline) == {"one": "tester"}
        finally:
            late.__exit__(None, None, None)


def test_a_connection_lost_while_held_is_made_again(
    make_client: MakeClient, start: Start, deadline: Deadline, listener: socket.socket
) -> None:
    client = make_client("one", address=listener.getsockname())
    call = start(client.sync, "m", deadline)

    serve(listener, b"0000")
    serve(listener, encode_frame({"response": "ack", "message": "m"}))

    assert call.result() is None


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"00000002{}", b"FFFFFFFF"]
)
def test_something_else_at_the_address_is_an_infrastructure_error(
    make_client: MakeClient,
    start: Start,
    deadline: Deadline,
    listener: socket.socket,
    answer: bytes,
) -> None:
    client = make_client("one", address=listener.getsockname())
    call = start(client.sync, "m", deadline)

    serve(listener, answer)

    with pytest.raises(InfrastructureError, match="is not a coordinator"):
        call.result()


def test_a_wait_answered_with_something_else_is_a_multinode_error(
    make_client: MakeClient, start: Start, deadline: Deadline, listener: socket.socket
) -> None:
    client = make_client("one", address=listener.getsockname())
    call = start(client.wait, "m", deadline)

    serve(listener, encode_frame({"response": "ack", "message": "m"}))

    with pytest.raises(MultiNodeError, match="answered a wait with 'm'"):
        call.result()


def test_a_coordinator_that_knows_no_failures_is_not_an_error(
    make_client: MakeClient, start: Start, deadline: Deadline, listener: socket.socket
) -> None:
    client = make_client("one", address=listener.getsockname())
    call = start(client.fail, "no boot", deadline)

    serve(listener, encode_frame({"response": "nack"}))

    assert call.result() is False


def test_a_client_is_known_by_its_instance(
    make_client: MakeClient, start: Start, deadline: Deadline, listener: socket.socket
) -> None:
    def instance_of(client: MultiNodeClient) -> Any:
        call = start(client.send, "m", {}, deadline)
        request = serve(listener, encode_frame({"response": "ack"}))
        assert call.result() is None
        return request["instance"]

    one, other = (make_client("one", address=listener.getsockname()) for _ in range(2))

    assert instance_of(one) == instance_of(one.with_token(CancelToken()))
    assert instance_of(one) != instance_of(other)


def test_a_wait_that_a_lava_coordinator_refuses_because_it_is_early_is_asked_again(
    make_client: MakeClient, start: Start, deadline: Deadline, listener: socket.socket
) -> None:
    client = make_client("one", address=listener.getsockname(), poll_delay_s=0)
    call = start(client.wait_all, "m", deadline)

    serve(listener, encode_frame({"response": "nack"}))
    serve(listener, encode_frame({"response": "ack", "message": {"one": {}}}))

    assert call.result() == {"one": {}}


def test_bundles_that_are_none_are_a_multinode_error(
    make_client: MakeClient, start: Start, deadline: Deadline, listener: socket.socket
) -> None:
    client = make_client("one", address=listener.getsockname())
    call = start(client.aggregate, "a", "7.0", deadline)

    serve(listener, encode_frame({"response": "ack", "message": "all"}))

    with pytest.raises(MultiNodeError, match="did not hand out the bundles"):
        call.result()
