# SPDX-License-Identifier: MIT
"""The status of groups, and who gets it."""

from __future__ import annotations

import pytest

from tests.unit.multinode.asked import (
    ACK,
    NACK,
    Asked,
    answer,
    base,
    group_of,
    groups_in,
    held,
    watch,
)


@pytest.mark.parametrize(
    ("own", "given", "local", "told"),
    [
        (None, None, True, True),
        (None, None, False, False),
        (None, "any", False, False),
        ("s3cret", None, True, True),
        ("s3cret", None, False, False),
        ("s3cret", "s3cret", False, True),
    ],
)
def test_the_status_is_for_this_machine_and_for_who_has_the_token(
    own: str | None, given: str | None, local: bool, told: bool
) -> None:
    request = {"request": "lava_status", "token": given}

    reply = answer(Asked(token=own), request, local=local)

    assert reply == ({**ACK, "message": {"groups": {}}} if told else NACK)


def test_the_status_says_who_is_there_and_who_waits_for_what_and_no_message() -> None:
    groups = Asked()
    groups.handle(base("node_one", "host", request="group_data", group_size=3), now=100)
    groups.handle(base("node_two", "guest", request="lava_send", messageID="m"), now=101)
    sent = base("node_two", "guest", request="lava_send", messageID="m", message={"k": "s3cret"})
    groups.handle(sent, now=102)
    groups.handle({**watch("node_one"), "role": "host"}, now=103)
    groups.handle(held("node_one", "lava_wait_all", messageID="m", waitrole="guest"), now=104)
    groups.handle(base("node_two", request="lava_failed", reason="no boot"), now=105)
    groups.handle(base("node_two", request="lava_wait", messageID="lava_vm_stop"), now=106)
    groups.handle(base("node_two", request="clear_group"), now=107)
    groups.handle(held("node_one", "lava_wait", messageID="lava_vm_stop"), now=108)

    status = groups_in(groups, now=110)

    assert "s3cret" not in str(status)
    assert status == {
        "group": {
            "size": 3,
            "age_s": 10,
            "members": {
                "node_one": {
                    "role": "host",
                    "hostname": "dispatcher",
                    "present": True,
                    "failed": None,
                    "cleared": False,
                },
                "node_two": {
                    "role": "guest",
                    "hostname": "dispatcher",
                    "present": False,
                    "failed": "no boot",
                    "cleared": True,
                },
            },
            "lines": ["node_one waits in lava-wait 'lava_vm_stop' for node_two, which has failed"],
            "waits": [
                {
                    "client": "node_one",
                    "request": "lava_wait",
                    "messageID": "lava_vm_stop",
                    "waitrole": None,
                    "for_s": 2,
                }
            ],
        }
    }


def test_the_status_tells_of_clients_that_poll_since_they_began() -> None:
    groups = group_of("node_one", "node_two")
    poll = base("node_one", request="lava_wait", messageID="m")
    for now in (10, 13, 16):
        groups.handle(poll, now=now)

    (wait,) = groups_in(groups, now=17)["group"]["waits"]
    assert (wait["client"], wait["for_s"]) == ("node_one", 7)
