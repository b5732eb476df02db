# SPDX-License-Identifier: MIT
import ipaddress

import pytest

from lava_vmgroup.vms.network import GroupNetwork, free_subnet

NETWORK = GroupNetwork(
    group="8e4ee4bb-a0e4-4f4c-9e4e-1f0bf7c2a8b1",
    subnet=ipaddress.IPv4Network("10.42.0.0/24"),
    bridge="lava-12345678",
)


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ("", "10.42.0.0/24"),
        ("default via 10.0.2.2 dev eth0\n10.0.2.0/24 dev eth0 scope link", "10.42.0.0/24"),
        ("10.42.0.0/24 dev lava-1\n10.42.1.0/25 dev lava-2", "10.42.2.0/24"),
        ("blackhole 10.42.0.0/24\n10.42.1.7 dev wg0", "10.42.2.0/24"),
        ("10.42.0.0/17 dev cni0", "10.42.128.0/24"),
    ],
)
def test_subnet_is_one_that_the_host_does_not_use(routes: str, expected: str) -> None:
    assert str(free_subnet(routes)) == expected


def test_host_and_vms_have_addresses_of_their_own() -> None:
    ports = [NETWORK.port(number) for number in range(1, 254)]

    addresses = [NETWORK.address(0), *(port.address for port in ports)]
    assert len({*addresses}) == 254
    assert {address.network for address in addresses} == {NETWORK.subnet}
    assert not {NETWORK.subnet[0], NETWORK.subnet[-1]} & {address.ip for address in addresses}
    assert len({port.mac for port in ports}) == 253


def test_without_a_bridge_the_groups_of_a_host_do_not_meet() -> None:
    groups = [
        GroupNetwork(group=name, subnet=NETWORK.subnet, bridge=None) for name in ("one", "two")
    ]

    first, second = (group.port(1).netdev("/vm") for group in groups)
    assert first != second
    assert first == groups[0].port(2).netdev("/other")
    assert first.endswith("localaddr=127.0.0.1")


def test_dispatchers_of_one_group_compute_the_same_card_and_wire() -> None:
    # Of one release and another: so they are written out.
    network = GroupNetwork(group="group-1", subnet=NETWORK.subnet, bridge=None)

    port = network.port(2)

    assert port.mac == "52:54:00:67:e1:02"
    assert port.multicast == "239.77.254.117:24900"
