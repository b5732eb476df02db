# SPDX-License-Identifier: MIT
"""A test shell's MultiNode calls: made at the coordinator, and answered by a reply to type."""

from __future__ import annotations

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.multinode.client import MultiNodeClient
from lava_vmgroup.testshell.events import MultiNodeApi, MultiNodeCall
from lava_vmgroup.testshell.patterns import parse_arguments
from lava_vmgroup.testshell.replies import Reply, reply_sync, reply_wait, reply_wait_all

VM_START = "lava_vm_start"
"""The message by which the host lets the VMs start; carries ``host_ip``."""
VM_STOP = "lava_vm_stop"
"""The message by which each member reports that it has ended its work with the VMs."""


def answer(call: MultiNodeCall, client: MultiNodeClient, deadline: Deadline) -> Reply | None:
    """Carry out a call and return the reply to type; None for a lava-send, which waits for none.

    Blocks until the coordinator answers.  Raises the errors of `MultiNodeClient`.
    """
    match call.api:
        case MultiNodeApi.SEND:
            client.send(call.message_id, parse_arguments(call.arguments), deadline)
            return None
        case MultiNodeApi.SYNC:
            client.sync(call.message_id, deadline)
            return reply_sync(ok=True)
        case MultiNodeApi.WAIT:
            return reply_wait(client.wait(call.message_id, deadline))
        case MultiNodeApi.WAIT_ALL:
            role = call.arguments[0] if call.arguments else None
            return reply_wait_all(client.wait_all(call.message_id, deadline, role))
