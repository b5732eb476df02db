# SPDX-License-Identifier: MIT
"""The address of a booted system towards the dispatcher, as its own tools print it."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Sequence

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import DeadlineExpired
from lava_vmgroup.console.shell import Shell

_POLL_S = 0.3
_UNREACHABLE = 2
"""The exit status of ``ip`` when it has no route, in iproute2 and in busybox."""
_SOURCE = re.compile(r"\bsrc ([0-9A-Fa-f.:]+)")
_ADDRESS = re.compile(r"(?<![\w.:])(?:addr:)?([0-9A-Fa-f]*[.:][0-9A-Fa-f.:]+)(?=[\s/%]|$)")
# Each of these lists addresses: ip may be missing, and busybox's may be built without routes.
_LIST = "(PATH=$PATH:/usr/sbin:/sbin; ip -o addr || ifconfig || hostname -I) 2>/dev/null"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def find_address(shell: Shell, server: str, deadline: Deadline) -> str:
    """Block until the system has an address towards `server`, and return it.

    Asks ``ip route get``; without that command, returns the listed address that is nearest to
    `server`.  Raises `DeadlineExpired`, with the addresses that the system has instead.
    """
    said: list[str] = []
    others: Sequence[Address] = ()
    try:
        while True:
            status, output = shell.run(f"ip route get {shlex.quote(server)}", deadline)
            if (found := _SOURCE.search(output)) and not _is_local(_parsed(found[1])):
                return found[1]
            said = output.splitlines() or said
            others = _addresses_in(shell.run(_LIST, deadline)[1])
            if status != _UNREACHABLE and (nearest := _nearest(others, server)):
                return nearest
            deadline.pause(_POLL_S)
    except DeadlineExpired as late:
        raise _none_came(deadline, server, said, others) from late


def _addresses_in(output: str) -> list[Address]:
    """Return the addresses in a listing, without loopback and link-local ones."""
    parsed = (_parsed(text) for text in _ADDRESS.findall(output))
    return [address for address in parsed if address is not None and not _is_local(address)]


def _parsed(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _is_local(address: Address | None) -> bool:
    return address is None or address.is_loopback or address.is_link_local


def _nearest(addresses: Sequence[Address], server: str) -> str:
    """Return the address that begins most like the server's: it is probably in the same network."""
    target = _parsed(server)
    alike = [one for one in addresses if target is not None and one.version == target.version]
    if target is None or not alike:
        return ""
    return str(min(alike, key=lambda one: int(one) ^ int(target)))


def _none_came(
    deadline: Deadline, server: str, said: list[str], others: Sequence[Address]
) -> DeadlineExpired:
    error = deadline.error(said)
    has = ", ".join(map(str, others)) or "none"
    return DeadlineExpired(
        f"{error.message}; the host's addresses: {has}",
        hint=f"the host needs an address towards the dispatcher, which is {server} by "
        "LAVA_SERVER_IP; is its network configured, its cable connected, its DHCP server up?",
        last_lines=said,
    )
