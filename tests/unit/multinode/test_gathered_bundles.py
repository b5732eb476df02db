# SPDX-License-Identifier: MIT
"""Bundles wait for those of the others."""

from __future__ import annotations

from tests.unit.multinode.asked import (
    ACK,
    WAIT,
    again,
    answer,
    base,
    break_off,
    group_of,
    held,
    watch,
)


def test_the_bundles_wait_for_the_failed_but_not_for_the_gone() -> None:
    groups = group_of("node_one", "node_two", "node_three")
    first = held("node_one", "aggregate", bundle="a", sub_id="1.0")
    answer(groups, watch("node_two"))
    answer(groups, base("node_three", request="lava_failed", reason="no boot"))
    assert answer(groups, first) == WAIT

    break_off(groups, watch("node_two"))
    assert again(groups, first) == WAIT
    answer(groups, base("node_three", request="aggregate", bundle="c", sub_id="1.2"))

    assert again(groups, first) == {
        **ACK,
        "message": {"bundle": {"node_one": "a", "node_three": "c"}},
    }


def test_the_bundles_do_not_wait_for_who_has_left_without_one() -> None:
    groups = group_of("node_one", "node_two")
    first = held("node_one", "aggregate", bundle="a", sub_id="1.0")
    assert answer(groups, first) == WAIT

    answer(groups, base("node_two", request="clear_group"))

    assert again(groups, first) == {**ACK, "message": {"bundle": {"node_one": "a"}}}


def test_a_client_that_polls_for_bundles_waits_for_all_as_in_lava() -> None:
    groups = group_of("node_one", "node_two")
    first = base("node_one", request="aggregate", bundle="a", sub_id="1.0")
    answer(groups, base("node_two", request="lava_failed", reason="no boot"))
    answer(groups, base("node_two", request="clear_group"))

    assert [answer(groups, first) for _ in range(9)] == [WAIT] * 9
