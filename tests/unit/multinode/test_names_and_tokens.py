# SPDX-License-Identifier: MIT
"""Whom groups listen to."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.multinode.asked import (
    ACK,
    NACK,
    Asked,
    answer,
    base,
)


@pytest.mark.parametrize(
    ("first", "second", "served"),
    [
        ("a", "a", True),
        ("a", "b", False),
        ("a", None, False),
        (None, "b", False),
        (None, None, True),
    ],
)
def test_a_name_belongs_to_the_program_that_came_first(
    first: str | None, second: str | None, served: bool
) -> None:
    groups = Asked()
    answer(groups, base("node_one", request="group_data", group_size=2, instance=first))

    sent = answer(groups, base("node_one", request="lava_send", messageID="m", instance=second))

    assert (sent == ACK) is served


@pytest.mark.parametrize("given", [None, "wrong", "s3cre", 7, "\ud800"])
def test_without_the_right_token_nothing_is_served(given: Any) -> None:
    groups = Asked(token="s3cret")
    request = base("node_one", request="lava_send", messageID="m", group_size=1)

    assert answer(groups, {**request, "token": given}) == NACK
    assert "token" in str(answer(groups, {**request, "token": given, "hold": True}))
    assert answer(groups, {**request, "token": "s3cret"}) == ACK
