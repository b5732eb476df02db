# SPDX-License-Identifier: MIT
"""The network that the VMs of a group share with each other and with their host.

On a host that lets us make one it is a bridge with an address of the host's, and each VM has a tap
device on it.  Elsewhere the VMs' QEMUs share a multicast group on the host's loopback, of which
the host itself is no part.  Addresses follow from a node's number in the group, so nobody has to
ask a service for one.
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
from lava_vmgroup.connections.ssh import SshLink

MAX_VMS = 253
"""A subnet of 256 addresses without the two that have a meaning and the host's."""

_SETUP_S = 30.0
_CANDIDATES = [ipaddress.IPv4Network(f"10.42.{third}.0/24") for third in range(256)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """Where one VM is plugged into the group's network."""

    mac: str
    address: ipaddress.IPv4Interface
    bridge: str | None
    multicast: str

    def netdev(self, folder: str) -> str:
        """QEMU's network backend, without its id; on a bridge it needs the file of `hook`."""
        if self.bridge is None:
            return f"socket,mcast={self.multicast},localaddr=127.0.0.1"
        return f"tap,script={folder}/{HOOK},downscript=no"

    @property
    def hook(self) -> bytes:
        """The program by which QEMU puts its tap device on the bridge; the device dies with it."""
        bridge = f"BRIDGE={shlex.quote(self.bridge or '')}"
        return "\n".join(("#!/bin/sh", bridge, program_text("vms/join_bridge.sh"))).encode()

    @property
    def guest_setup(self) -> str:
        """The shell line that gives a guest its address, and its shell two variables."""
        address = self.address
        words = (self.mac, address.with_prefixlen, str(address.ip), str(address.netmask))
        return typed_program("vms/join_network.sh", *words)


HOOK = "net-up"
"""The hook's file in a VM's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupNetwork:
    """One group's network on one host."""

    group: str
    subnet: ipaddress.IPv4Network
    bridge: str | None
    """The bridge's name; None where the host allows none."""

    def address(self, number: int) -> ipaddress.IPv4Interface:
        """The address of the node with this number in the group, be it a VM or the host."""
        return ipaddress.IPv4Interface((self.subnet[1 + number], self.subnet.prefixlen))

    def host_setup(self, number: int) -> str:
        """The shell line that gives the host's shell the variables that the guests have."""
        if self.bridge is None:
            return "unset LAVA_VM_GROUP_IFACE LAVA_VM_GROUP_IP"
        address = self.address(number)
        return f"export LAVA_VM_GROUP_IFACE={self.bridge} LAVA_VM_GROUP_IP={address.ip}"

    def port(self, number: int) -> Port:
        """The port of the VM with this number in the group."""
        digest = _digest(self.group)
        return Port(
            mac=f"52:54:00:67:{digest[0]:02x}:{number:02x}",
            address=self.address(number),
            bridge=self.bridge,
            multicast=f"239.77.{digest[1]}.{digest[2]}:{10000 + digest[3] * 100}",
        )


def user_mac(number: int) -> str:
    """The address of a VM's interface to QEMU's own network, on which it is alone."""
    return f"52:54:00:75:00:{number:02x}"


def bridge_of(group: str) -> str:
    """The name of the bridge that a group's network has on its host, where it has one."""
    return f"lava-{_digest(group).hex()[:8]}"


def make_network(
    group: str, number: int, link: SshLink, log: NodeLog, deadline: Deadline
) -> GroupNetwork:
    """Make the group's network on the host, whose number in the group is `number`.

    It is without a bridge where the host allows none.
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
    """The first of our subnets that overlaps none of a host's routes (as ``ip route`` has them)."""
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
