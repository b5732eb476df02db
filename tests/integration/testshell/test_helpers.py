# SPDX-License-Identifier: MIT
"""The helpers that tests call, one by one, under every shell a node may have."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.testshell.conftest import Node

LIMIT_S = 60.0


def test_self_prints_the_nodes_name(node: Node) -> None:
    node.unpack()

    assert node.helper("lava-self").stdout == "vm1\n"


def test_role_prints_the_own_role_without_a_newline(node: Node) -> None:
    node.unpack()

    assert node.helper("lava-role").stdout == "client"


def test_role_list_prints_each_role_once(node: Node) -> None:
    node.unpack()

    assert node.helper("lava-role", "list").stdout == "host\nclient\n"


def test_role_prints_the_own_role_for_any_other_word(node: Node) -> None:
    node.unpack()

    ran = node.helper("lava-role", "client")

    assert (ran.returncode, ran.stdout) == (0, "client")


@pytest.mark.parametrize("arguments", [(), ("",)])
def test_group_prints_names_and_roles(node: Node, arguments: tuple[str, ...]) -> None:
    node.unpack()

    ran = node.helper("lava-group", *arguments)

    assert (ran.returncode, ran.stdout) == (0, "\tboard\thost\n\tvm1\tclient\n\tvm2\tclient\n")


def test_group_prints_the_names_of_a_role(node: Node) -> None:
    node.unpack()

    ran = node.helper("lava-group", "client")

    assert (ran.returncode, ran.stdout) == (0, "\tvm1\n\tvm2")


@pytest.mark.parametrize("role", ["server", "clien", "cl*"])
def test_group_fails_for_a_role_that_nobody_has(node: Node, role: str) -> None:
    node.unpack()

    ran = node.helper("lava-group", role)

    assert (ran.returncode, ran.stdout) == (1, "")


def test_group_looks_at_the_first_role_only(node: Node) -> None:
    node.unpack()

    ran = node.helper("lava-group", "host", "client")

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "\tboard", "")


def test_helpers_find_their_facts_however_they_are_called(node: Node) -> None:
    node.unpack()
    commands = [
        "lava-self",
        "./lava-self",
        "../bin/lava-self",
        f"{node.shell} lava-self",
        f"cd / && {node.bin}/lava-self",
        f"cd / && {node.shell} {node.bin}/lava-self",
        "cd / && lava-self",
        "cd .. && PATH=bin:$PATH && lava-self",
    ]

    for command in commands:
        ran = subprocess.run(
            [node.shell, "-c", command],
            cwd=node.bin,
            env={"PATH": f"{node.bin}:{node.environment['PATH']}"},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
        assert (command, ran.stdout, ran.stderr) == (command, "vm1\n", "")


@pytest.mark.parametrize(
    ("arguments", "marker"),
    [
        (("ready",), "ready"),
        (("ready", "ip=10.0.0.1", "query=a=b", "empty="), "ready ip=10.0.0.1 query=a=b empty="),
        (
            ("ready", "glob=*", "code=$(id)`id`;", "quote='\"\\n"),
            "ready glob=* code=$(id)`id`; quote='\"\\n",
        ),
    ],
)
def test_send_prints_its_marker_and_returns(
    node: Node, arguments: tuple[str, ...], marker: str
) -> None:
    node.unpack()

    ran = node.helper("lava-send", *arguments)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == f"<LAVA_MULTI_NODE> <LAVA_SEND {marker}>\n"


@pytest.mark.parametrize(
    ("arguments", "marker", "dropped"),
    [
        (("ready", "word", "a=1"), "ready a=1", ["word"]),
        (("ready", "=b", "a=1"), "ready a=1", ["=b"]),
        (("ready", "", "a=1"), "ready a=1", []),
        (("ready", "a=b", "c d", "*"), "ready a=b", ["c d", "*"]),
    ],
)
def test_send_drops_what_is_no_pair_as_lava_does(
    node: Node, arguments: tuple[str, ...], marker: str, dropped: list[str]
) -> None:
    node.unpack()

    ran = node.helper("lava-send", *arguments)

    assert (ran.returncode, ran.stdout) == (0, f"<LAVA_MULTI_NODE> <LAVA_SEND {marker}>\n")
    assert ran.stderr.splitlines() == [
        f"lava-send: not sent, for it is not KEY=VALUE: {word}" for word in dropped
    ]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("lava-send", (), "usage: lava-send ID [KEY=VALUE ...]"),
        ("lava-send", ("",), "the message id is empty"),
        ("lava-send", ("a=b",), "the message id 'a=b' has a '='"),
        ("lava-send", ("a b",), "the message id 'a b' has a blank"),
        ("lava-send", ("a>",), "the message id 'a>' has a blank"),
        ("lava-send", ("ready", "a b=c"), "the key 'a b' has a blank"),
        ("lava-send", ("ready", "good=1", "<=1"), "the key '<' has a blank"),
        ("lava-send", ("ready", "good=1", "a=b\nc"), "the value of 'a' has a line end"),
        (
            "lava-send",
            ("ready", *(9 * [f"a={120_000 * 'x'}"])),
            "the message is longer than 1048576",
        ),
        ("lava-wait", (1001 * "x",), "the message is longer than 1000 characters"),
        ("lava-sync", (), "usage: lava-sync ID"),
        ("lava-sync", ("a b",), "the message id 'a b' has a blank"),
        ("lava-wait", (), "usage: lava-wait ID"),
        ("lava-wait", ("a=b",), "the message id 'a=b' has a '='"),
        ("lava-wait-all", (), "usage: lava-wait-all ID [ROLE]"),
        ("lava-wait-all", ("a", "b c"), "the role 'b c' has a blank"),
        ("lava-wait-all", ("", "b"), "the message id is empty"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(
    node: Node, name: str, arguments: tuple[str, ...], message: str
) -> None:
    node.unpack()

    ran = node.helper(name, *arguments)

    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith(f"{name}: {message}")


def test_debug_lines_are_printed_when_the_job_asks_for_them(node: Node) -> None:
    node.unpack(debug=True)

    ran = node.helper("lava-wait", "ready", typed="<LAVA_WAIT_COMPLETE vm2:a=1>\n")

    assert ran.stdout == (
        "<LAVA_WAIT_DEBUG request: ready>\n"
        "<LAVA_MULTI_NODE> <LAVA_WAIT ready>\n"
        "<LAVA_WAIT_DEBUG reply: vm2:a=1>\n"
    )


def test_start_vms_sends_the_address_of_the_host(node: Node) -> None:
    node.unpack(host_ip="10.0.0.1")

    ran = node.helper("lava-start-vms")

    assert ran.returncode == 0
    assert ran.stdout == "<LAVA_MULTI_NODE> <LAVA_SEND lava_vm_start host_ip=10.0.0.1>\n"


def test_start_vms_prefers_the_variable(node: Node) -> None:
    node.unpack(host_ip="10.0.0.1")

    ran = node.helper("lava-start-vms", _LAVA_VM_GROUP_HOST_IP="10.0.0.2")

    assert ran.stdout == "<LAVA_MULTI_NODE> <LAVA_SEND lava_vm_start host_ip=10.0.0.2>\n"


def test_start_vms_fails_without_an_address(node: Node) -> None:
    node.unpack()

    ran = node.helper("lava-start-vms")

    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == "lava-start-vms: the IP address of the host is not known\n"


@pytest.mark.parametrize(
    ("arguments", "marker"),
    [
        (("start", "net"), "START net"),
        (("start", "net", "more"), "START net"),
        (("start", "a b"), "START a b"),
        (("start", "<a>"), "START _a_"),
        (("stop",), "STOP"),
        (("stop", ""), "STOP"),
        (("stop", "net"), "STOP"),
    ],
)
def test_test_set_prints_its_marker_and_ignores_further_words(
    node: Node, arguments: tuple[str, ...], marker: str
) -> None:
    node.unpack()

    ran = node.helper("lava-test-set", *arguments)

    assert (ran.returncode, ran.stdout) == (0, f"<LAVA_SIGNAL_TESTSET {marker}>\n")


@pytest.mark.parametrize("arguments", [(), ("start",), ("start", ""), ("go", "a")])
def test_test_set_refuses_what_lava_refuses(node: Node, arguments: tuple[str, ...]) -> None:
    node.unpack()

    ran = node.helper("lava-test-set", *arguments)

    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("lava-test-set: usage: lava-test-set start NAME")
