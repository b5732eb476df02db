# SPDX-License-Identifier: MIT
"""The messages between a host and its VMs before a VM may start.

They go through the coordinator, as different dispatchers, on different machines, may run the nodes:

1. Each VM sends its `Hello` when it joins the group.
2. Once the host has booted, it waits for all of them, makes the network, accepts the VMs' keys, and
   sends its `Offer`.  A host that is skipped sends `no_offer` in its place, so that no VM waits in
   vain.
3. Once VMs may start, each takes the host's address from the offer, and connects.

The messages contain only public data: a VM's dispatcher logs in with a key of its own, and the host
accepts that key's public half while the job lasts.  Tests may not send them.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from lava_vmgroup.base.errors import MultiNodeError, NodeSkipped
from lava_vmgroup.connections.ssh_access import Address
from lava_vmgroup.vms.network import GroupNetwork

OFFER_ID = "lava_vm_host"
"""The id of the message with the host's `Offer`."""

_PUBLIC_KEY = re.compile(r"[a-z0-9@.-]{1,60} [A-Za-z0-9+/]{1,8000}={0,3}")
_MAX_PATIENCE_S = 86_400
_MAX_LIMIT_MIB = 1 << 40
_BRIDGE = re.compile(r"[a-z0-9-]{1,15}")


_HELLO_ID = "lava_vm_hello:"
_SKIPPED = "skipped"


def no_offer(reason: str) -> dict[str, str]:
    """Return the message, under `OFFER_ID`, of a host that is skipped; its VMs are skipped, too."""
    return {_SKIPPED: reason}


def hello_id(vm: str) -> str:
    """Return the id of a VM's `Hello`; each VM has its own id, so the host misses none."""
    return f"{_HELLO_ID}{vm}"


def is_introduction(message_id: str) -> bool:
    """Return whether a message is one of these, which dispatchers may send and tests may not."""
    return message_id == OFFER_ID or message_id.startswith(_HELLO_ID)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The message of a VM to the host."""

    public_keys: tuple[str, ...] = ()
    """The keys of the VM's dispatcher as in ``authorized_keys``; it logs in with one of them.

    Empty if one process runs the VM and the host: then the host accepts its key already.
    """
    wants_network: bool
    """True if the VM has a card in the group's network."""

    def to_message(self) -> dict[str, str]:
        """Return the data to send."""
        return {
            "public_keys": json.dumps(self.public_keys),
            "wants_network": "true" if self.wants_network else "false",
        }

    @classmethod
    def from_message(cls, data: Mapping[str, str]) -> Hello:
        """Return the message from received data; raise `MultiNodeError` if a key is malformed."""
        text = data.get("public_keys", "[]")
        try:
            keys = tuple(map(str, json.loads(text)))
        except (ValueError, TypeError, RecursionError):
            keys = (text,)
        for key in keys:
            if not _PUBLIC_KEY.fullmatch(key):
                raise MultiNodeError(f"a VM introduced itself with no public key but {key[:60]!r}")
        return cls(public_keys=keys, wants_network=data.get("wants_network") == "true")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The message of the host to its VMs."""

    address: Address
    folder: str
    """The folder on the host for all files of VMs."""
    store_limit_mib: int = 0
    """Size limit of the image store there, in MiB; 0 for three quarters of the disk."""
    network: GroupNetwork | None = None
    """The group's network; None if no VM wants it."""

    def to_message(self) -> dict[str, str]:
        """Return the data to send."""
        data = {
            "host": self.address.host,
            "port": str(self.address.port),
            "username": self.address.username,
            "folder": self.folder,
            "host_keys": json.dumps(self.address.host_keys),
            "patience_s": str(self.address.patience_s),
            "store_limit_mib": str(self.store_limit_mib),
        }
        if self.network is not None:
            data["subnet"] = str(self.network.subnet)
            data["bridge"] = self.network.bridge or ""
        return data

    @classmethod
    def from_message(cls, data: Mapping[str, str], group: str) -> Offer:
        """Return the message from data received in `group`.

        Raises `NodeSkipped` if the host is skipped, and `MultiNodeError` if a value is missing or
        wrong.
        """
        if _SKIPPED in data:
            raise NodeSkipped(f"the host is skipped: {data[_SKIPPED]}")
        try:
            address = Address(
                host=data["host"],
                port=_between(1, int(data["port"]), 0xFFFF),
                username=data["username"],
                host_keys=tuple((str(kind), str(key)) for kind, key in _pairs(data["host_keys"])),
                patience_s=_between(1, int(data["patience_s"]), _MAX_PATIENCE_S),
            )
            return cls(
                address=address,
                folder=data["folder"],
                store_limit_mib=_between(0, int(data["store_limit_mib"]), _MAX_LIMIT_MIB),
                network=_network(data, group),
            )
        except (KeyError, ValueError, TypeError, RecursionError) as error:
            raise MultiNodeError(
                f"the host did not say how to reach it: {type(error).__name__}: {error}",
                hint="are host and VMs run by the same version of this program?",
            ) from error


def _between(least: int, number: int, most: int) -> int:
    if not least <= number <= most:
        raise ValueError(f"{number} is not between {least} and {most}")
    return number


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(kind, key) for kind, key in json.loads(text)]


def _network(data: Mapping[str, str], group: str) -> GroupNetwork | None:
    if "subnet" not in data:
        return None
    bridge = data.get("bridge") or None
    if bridge is not None and not _BRIDGE.fullmatch(bridge):
        raise ValueError(f"{bridge!r} is no bridge")
    return GroupNetwork(group=group, subnet=ipaddress.IPv4Network(data["subnet"]), bridge=bridge)
