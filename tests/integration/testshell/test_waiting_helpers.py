# SPDX-License-Identifier: MIT
"""Helpers that wait for a reply, and what they keep of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.testshell.conftest import Node


@pytest.mark.parametrize(
    ("name", "arguments", "marker", "reply"),
    [
        ("lava-sync", ("end",), "LAVA_SYNC end", "LAVA_SYNC_COMPLETE"),
        ("lava-wait", ("end",), "LAVA_WAIT end", "LAVA_WAIT_COMPLETE"),
        ("lava-wait-all", ("end",), "LAVA_WAIT_ALL end", "LAVA_WAIT_ALL_COMPLETE"),
        ("lava-wait-all", ("end", "vm"), "LAVA_WAIT_ALL end vm", "LAVA_WAIT_ALL_COMPLETE"),
        ("lava-sync", ("end", "more"), "LAVA_SYNC end", "LAVA_SYNC_COMPLETE"),
        ("lava-wait", ("end", "more"), "LAVA_WAIT end", "LAVA_WAIT_COMPLETE"),
        ("lava-wait-all", ("end", "", "more"), "LAVA_WAIT_ALL end", "LAVA_WAIT_ALL_COMPLETE"),
    ],
)
class TestWaiting:
    """Behaviour that all helpers which wait for a reply share."""

    def test_a_reply_ends_the_wait(
        self, node: Node, name: str, arguments: tuple[str, ...], marker: str, reply: str
    ) -> None:
        node.unpack()

        ran = node.helper(name, *arguments, typed=f"<{reply}>\n")

        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout == f"<LAVA_MULTI_NODE> <{marker}>\n"

    def test_other_lines_are_skipped(
        self, node: Node, name: str, arguments: tuple[str, ...], marker: str, reply: str
    ) -> None:
        node.unpack()
        others = "\necho LAVA_ACK\n<LAVA_OTHER_COMPLETE>\n\\x *\n"

        ran = node.helper(name, *arguments, typed=f"{others}# <{reply}>\r\n")

        assert (ran.returncode, ran.stderr) == (0, "")

    def test_a_refusal_is_a_failure(
        self, node: Node, name: str, arguments: tuple[str, ...], marker: str, reply: str
    ) -> None:
        node.unpack()
        api = reply.removesuffix("_COMPLETE")

        ran = node.helper(name, *arguments, typed=f"<{reply} nack>\n")

        assert ran.returncode == 1
        assert ran.stderr == f"{name}: Error:no-response  nack, Exit from {api}!\n"
        assert not node.cache.exists()

    def test_the_end_of_the_console_is_a_failure(
        self, node: Node, name: str, arguments: tuple[str, ...], marker: str, reply: str
    ) -> None:
        node.unpack()
        api = reply.removesuffix("_COMPLETE")

        ran = node.helper(name, *arguments, typed="noise\n")

        assert ran.returncode == 1
        assert ran.stderr == f"{name}: the console ended before {api} was answered\n"

    def test_a_reply_that_was_cut_short_is_a_failure(
        self, node: Node, name: str, arguments: tuple[str, ...], marker: str, reply: str
    ) -> None:
        node.unpack()
        api = reply.removesuffix("_COMPLETE")

        ran = node.helper(name, *arguments, typed=f"<{reply} vm2:a=b\n<{reply}>\n")

        assert ran.returncode == 1
        assert ran.stderr == f"{name}: the reply to {api} was cut short\n"


WAITS = [("lava-wait", "LAVA_WAIT_COMPLETE"), ("lava-wait-all", "LAVA_WAIT_ALL_COMPLETE")]


@pytest.mark.parametrize(("name", "reply"), WAITS)
def test_data_of_a_reply_are_cached_a_line_each(node: Node, name: str, reply: str) -> None:
    node.unpack()
    words = "vm1:a=1 vm1:b=x=y vm2:empty= vm2:url=http://[::1]/"

    node.helper(name, "ready", typed=f"<{reply} {words}>\n")

    assert node.cache.read_text().split("\n") == [*words.split(), ""]


@pytest.mark.parametrize(("name", "reply"), WAITS)
def test_data_of_a_reply_are_never_executed(node: Node, name: str, reply: str) -> None:
    node.unpack()
    words = (
        "vm1:glob=* * vm1:a=$(touch${IFS}made) vm1:b=`touch${IFS}made` vm1:c=;touch vm1:d=\\n'\""
    )

    ran = node.helper(name, "ready", typed=f"<{reply} {words}>\n")

    assert node.cache.read_text().split() == [word for word in words.split() if "=" in word]
    assert "Warning:unrecognized message *\n" in ran.stdout
    assert not (node.root / "made").exists()


@pytest.mark.parametrize(("name", "reply"), WAITS)
@pytest.mark.parametrize("typed", ["<{}>\n", "<{} nack>\n", ""])
def test_data_of_an_earlier_reply_do_not_stay(
    node: Node, name: str, reply: str, typed: str
) -> None:
    node.unpack()
    node.helper(name, "first", typed=f"<{reply} vm2:old=1>\n")
    assert node.cache.exists()

    node.helper(name, "second", typed=typed.format(reply))

    assert not node.cache.exists()


def test_sync_leaves_the_data_of_a_wait_alone(node: Node) -> None:
    node.unpack()
    node.helper("lava-wait", "ready", typed="<LAVA_WAIT_COMPLETE vm2:a=1>\n")

    node.helper("lava-sync", "end", typed="<LAVA_SYNC_COMPLETE>\n")

    assert node.cache.read_text() == "vm2:a=1\n"


@pytest.mark.parametrize("name", ["lava-wait-for-vms", "lava-wait-vms"])
@pytest.mark.parametrize(("typed", "status"), [("", 1), ("<LAVA_WAIT_ALL_COMPLETE>\n", 0)])
def test_wait_for_vms_waits_for_all(node: Node, name: str, typed: str, status: int) -> None:
    node.unpack()

    ran = node.helper(name, typed=typed)

    assert ran.returncode == status
    assert ran.stdout == (
        "<LAVA_MULTI_NODE> <LAVA_SEND lava_vm_stop>\n"
        "<LAVA_MULTI_NODE> <LAVA_WAIT_ALL lava_vm_stop>\n"
    )
