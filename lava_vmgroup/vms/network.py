# SPDX-License-Identifier: MIT
"""The network that the VMs of a group share with each other and with their host.

If the host allows a bridge, the bridge has an address of the host, and each VM has a tap device on
it.  Otherwise the VMs' QEMUs share a multicast group on the host's loopback, and the host itself is
not in the network.  A node's address follows from its number in the group, so no DHCP is needed.
"""

from __future__ import annotations

import hashlib
import ipaddress
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.base.shell_programs import program_text, sh_command, typed_program
from lava_vmgroup.connections.link import Link

_SETUP_S = 30.0
_CANDIDATES = [ipaddress.IPv4Network(f"10.42.{third}.0/24") for third in range(256)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """The connection of one VM to the group's network."""

    mac: str
    address: ipaddress.IPv4Interface
    bridge: str | None
    """The bridge's name; None if the VMs use `multicast`."""
    multicast: str
    """Address and port of the multicast group."""

    def netdev(self, folder: str) -> str:
        """Return QEMU's network backend without its id; for a bridge, `folder` has the `hook`."""
        if self.bridge is None:
            return f"socket,mcast={self.multicast},localaddr=127.0.0.1"
        return f"tap,script={folder}/{HOOK},downscript=no"

    @property
    def hook(self) -> bytes:
        """The program that puts QEMU's tap device on the bridge; the device ends with QEMU."""
        bridge = f"BRIDGE={shlex.quote(self.bridge or '')}"
        return "\n".join(("#!/bin/sh", bridge, program_text("vms/join_bridge.sh"))).encode()

    @property
    def guest_setup(self) -> str:
        """The shell line that gives a guest its address, and exports its interface and address."""
        address = self.address
        words = (self.mac, address.with_prefixlen, str(address.ip), str(address.netmask))
        return typed_program("vms/join_network.sh", *words)


HOOK = "net-up"
"""The name of the hook's file in a VM's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupNetwork:
    """One group's network on one host."""

    group: str
    subnet: ipaddress.IPv4Network
    bridge: str | None
    """The bridge's name; None if the host allows none."""

    def address(self, number: int) -> ipaddress.IPv4Interface:
        """Return the address of the node with this number in the group, a VM or the host."""
        return ipaddress.IPv4Interface((self.subnet[1 + number], self.subnet.prefixlen))

    def host_setup(self, number: int) -> str:
        """Return the shell line that exports the host's interface and address, as on the guests.

        Without a bridge, the line unsets these variables.
        """
        if self.bridge is None:
            return "unset LAVA_VM_GROUP_IFACE LAVA_VM_GROUP_IP"
        address = self.address(number)
        return f"export LAVA_VM_GROUP_IFACE={self.bridge} LAVA_VM_GROUP_IP={address.ip}"

    def port(self, number: int) -> Port:
        """Return the port of the VM with this number in the group."""
        digest = _digest(self.group)
        return Port(
            mac=f"52:54:00:67:{digest[0]:02x}:{number:02x}",
            address=self.address(number),
            bridge=self.bridge,
            multicast=f"239.77.{digest[1]}.{digest[2]}:{10000 + digest[3] * 100}",
        )


def user_mac(number: int) -> str:
    """Return the MAC address of a VM's card in QEMU's user network, in which the VM is alone."""
    return f"52:54:00:75:00:{number:02x}"


def bridge_of(group: str) -> str:
    """Return the name of the bridge of a group's network, for a host that allows one."""
    return f"lava-{_digest(group).hex()[:8]}"


def make_network(
    group: str, number: int, link: Link, log: NodeLog, deadline: Deadline
) -> GroupNetwork:
    """Make the group's network on the host, and return it; `number` is the host's in the group.

    If the host allows no bridge, logs a warning and returns a network without one.  Blocks for 30 s
    at most, on usual hardware.  Raises the errors of `Link.run`.
    """
    limit = deadline.sub("making the VMs' network", _SETUP_S)
    subnet = free_subnet(link.run(sh_command("vms/list_routes.sh"), limit).output)
    bridge = bridge_of(group)
    network = GroupNetwork(group=group, subnet=subnet, bridge=bridge)
    address = network.address(number).with_prefixlen
    made = link.run(sh_command("vms/make_bridge.sh", bridge, address), limit)
    if made.status == 0:
        log.event("network", f"the VMs' network is {subnet} on {bridge}", subnet=str(subnet))
        return network
    reason = (made.output.strip().splitlines() or ["no reason given"])[-1]
    log.warning(
        "network",
        f"the host allows no bridge ({reason}): the VMs reach each other, and the host at 10.0.2.2",
    )
    return GroupNetwork(group=group, subnet=subnet, bridge=None)


def free_subnet(routes: str) -> ipaddress.IPv4Network:
    """Return the first ``10.42.N.0/24`` that overlaps none of `routes`, printed by ``ip route``.

    If all of them overlap, returns the first of all.
    """
    taken = list(_networks(routes))
    return next(
        (subnet for subnet in _CANDIDATES if not any(map(subnet.overlaps, taken))), _CANDIDATES[0]
    )


def _networks(routes: str) -> Iterable[ipaddress.IPv4Network]:
    for line in routes.splitlines():
        for word in line.split()[:2]:
            try:
                yield ipaddress.IPv4Network(word)
            except ValueError:
                continue


def _digest(group: str) -> bytes:
    return hashlib.sha256(group.encode()).digest()
