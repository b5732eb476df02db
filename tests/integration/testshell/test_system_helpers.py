# SPDX-License-Identifier: MIT
"""The helpers that deal with the node's system and network, under every shell a node may have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.testshell.system import program

if TYPE_CHECKING:
    from tests.integration.testshell.conftest import Node

IP_NEW = """\
2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc pfifo_fast state UP group default
    link/ether 52:54:00:12:34:56 brd ff:ff:ff:ff:ff:ff permaddr 52:54:00:12:34:57
    inet 10.0.2.15/22 metric 1024 brd 10.0.3.255 scope global dynamic eth0
       valid_lft 86397sec preferred_lft 86397sec
    inet 10.9.9.9/8 scope global eth0
    inet6 fec0::15/64 scope site dynamic mngtmpaddr proto kernel_ra
"""
IP_BUSYBOX = """\
2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc pfifo_fast qlen 1000
    link/ether 52:54:00:12:34:56 brd ff:ff:ff:ff:ff:ff
    inet 10.0.2.15/22 brd 10.0.3.255 scope global eth0
       valid_lft forever preferred_lft forever
    inet6 fec0::15/64 scope site
"""
IFCONFIG_NEW = """\
eth0: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu 1500
        inet 10.0.2.15  netmask 255.255.252.0  broadcast 10.0.3.255
        inet6 fec0::15  prefixlen 64  scopeid 0x40<site>
        ether 52:54:00:12:34:56  txqueuelen 1000  (Ethernet)
"""
IFCONFIG_OLD = """\
eth0      Link encap:Ethernet  HWaddr 52:54:00:12:34:56
          inet addr:10.0.2.15  Bcast:10.0.3.255  Mask:255.255.252.0
          inet6 addr: fec0::15/64 Scope:Site
"""
INTERFACES = [
    pytest.param("ip", IP_NEW, id="iproute2"),
    pytest.param("ip", IP_BUSYBOX, id="busybox-ip"),
    pytest.param("ifconfig", IFCONFIG_NEW, id="net-tools"),
    pytest.param("ifconfig", IFCONFIG_OLD, id="old-ifconfig"),
]
ADDRESSES = [
    "ipv4=10.0.2.15",
    "netmask=255.255.252.0",
    "broadcast=10.0.3.255",
    "ipv6=fec0::15",
    "mac=52:54:00:12:34:56",
]


@pytest.mark.parametrize(("name", "description"), INTERFACES)
def test_echo_ipv4_prints_the_first_address(
    node: Node, few_tools: Path, name: str, description: str
) -> None:
    arguments = "addr show dev eth0" if name == "ip" else "eth0"
    program(few_tools, name, (arguments, description))

    ran = node.helper("lava-echo-ipv4", "eth0")

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "10.0.2.15\n", "")


def test_echo_ipv4_of_no_interface_prints_nothing(node: Node, few_tools: Path) -> None:
    program(few_tools, "ip")

    assert (ran := node.helper("lava-echo-ipv4", "eth9")).stdout == ""
    assert ran.returncode == 0
    assert node.helper("lava-echo-ipv4").returncode == 0


def test_target_addresses_are_those_of_the_groups_network(node: Node, few_tools: Path) -> None:
    program(few_tools, "ip", ("addr show dev lo", IP_NEW))
    network = {"LAVA_VM_GROUP_IP": "10.0.2.15"}

    assert node.helper("lava-target-ip", **network).stdout == "10.0.2.15\n"
    assert node.helper("lava-target-mac", **network).stdout == "52:54:00:12:34:56\n"
    assert node.helper("lava-target-ip").stdout == "\n"
    assert node.helper("lava-target-mac").stdout == "\n"


def test_the_hosts_target_address_is_where_its_vms_reach_it(node: Node) -> None:
    node.unpack(host_ip="192.0.2.7")

    ran = node.helper("lava-target-ip", LAVA_VM_GROUP_IP="10.0.2.15")

    assert (ran.returncode, ran.stdout) == (0, "192.0.2.7\n")


@pytest.mark.parametrize(
    "name",
    [
        "lava-probe-ip",
        "lava-probe-channel",
        "lava-vland-self",
        "lava-vland-names",
        "lava-vland-tags",
    ],
)
def test_what_a_group_has_not_is_an_empty_line(node: Node, name: str) -> None:
    node.unpack()

    ran = node.helper(name)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "\n", "")


def test_no_storage_is_printed_and_none_is_found(node: Node) -> None:
    node.unpack()

    everything, one = node.helper("lava-target-storage"), node.helper("lava-target-storage", "UMS")

    assert (everything.returncode, everything.stdout) == (0, "")
    assert (one.returncode, one.stdout) == (1, "")


@pytest.mark.parametrize(("name", "description"), INTERFACES)
def test_broadcast_sends_what_the_node_has(
    node: Node, few_tools: Path, name: str, description: str
) -> None:
    if name == "ip":
        program(
            few_tools,
            "ip",
            ("addr show dev eth0", description),
            ("route show", "default via 10.0.2.2 dev eth0\n10.0.0.0/22 dev eth0\n"),
        )
    else:
        program(few_tools, "ifconfig", ("eth0", description))
        program(few_tools, "route", ("-n", "Kernel\n0.0.0.0         10.0.2.2   0.0.0.0\n"))
    program(few_tools, "hostname", ("", "board\n"), ("-f", "board.lab\n"))

    ran = node.helper("lava-network", "broadcast", "eth0")

    assert ran.returncode == 0, ran.stderr
    words = ran.stdout.strip().removesuffix(">").split()
    assert words[:3] == ["<LAVA_MULTI_NODE>", "<LAVA_SEND", "network_info"]
    told = [word for word in words[3:] if not word.startswith("dns_")]
    assert told == [
        *ADDRESSES,
        "hostname=board",
        "hostname-full=board.lab",
        "default-gateway=10.0.2.2",
    ]


def test_broadcast_of_a_real_interface(node: Node) -> None:
    node.unpack()

    ran = node.helper("lava-network", "broadcast", "lo")

    assert "ipv4=127.0.0.1 netmask=255.0.0.0" in ran.stdout


def test_broadcast_of_no_interface_is_refused(node: Node) -> None:
    node.unpack()

    ran = node.helper("lava-network", "broadcast", "no-such0")

    assert (ran.returncode, ran.stdout) == (1, "")
    assert "there is no interface 'no-such0'" in ran.stderr


DATA = (
    "board:ipv4=10.0.0.1 board:hostname=big vm1:ipv4=10.0.0.2 vm1:mac=a:b=c vm2:hostname=x "
    "vm2:ipv4=10.0.0.3 none:mac=1"
)


@pytest.fixture
def collected(node: Node) -> Node:
    """A node that has the network data of its group."""
    node.unpack()
    ran = node.helper("lava-network", "collect", "eth0", typed=f"<LAVA_WAIT_ALL_COMPLETE {DATA}>\n")
    assert ran.stdout == "<LAVA_MULTI_NODE> <LAVA_WAIT_ALL network_info>\n"
    assert ran.returncode == 0
    return node


def test_collected_data_are_kept_beside_those_of_waits(collected: Node) -> None:
    collected.helper("lava-wait", "other", typed="<LAVA_WAIT_COMPLETE vm1:ipv4=9>\n")

    assert collected.helper("lava-network", "query", "vm1", "ipv4").stdout == "10.0.0.2\n"
    assert collected.helper("lava-network", "query", "vm1", "mac").stdout == "a:b=c\n"


@pytest.mark.parametrize(("name", "key"), [("vm1", "hostname"), ("vm9", "ipv4"), ("vm1", "ip*")])
def test_query_of_what_nobody_sent_prints_nothing(collected: Node, name: str, key: str) -> None:
    ran = collected.helper("lava-network", "query", name, key)

    assert (ran.returncode, ran.stdout) == (0, "")


def test_collect_of_a_role_waits_for_the_role(node: Node) -> None:
    node.unpack()

    ran = node.helper(
        "lava-network", "collect", "eth0", "client", typed="<LAVA_WAIT_ALL_COMPLETE>\n"
    )

    assert ran.stdout == "<LAVA_MULTI_NODE> <LAVA_WAIT_ALL network_info client>\n"


def test_hosts_are_appended_with_their_names(collected: Node) -> None:
    hosts = collected.root / "hosts"
    hosts.write_text("127.0.0.1\tlocalhost\n")

    ran = collected.helper("lava-network", "hosts", str(hosts))

    assert ran.returncode == 0, ran.stderr
    assert hosts.read_text() == (
        "127.0.0.1\tlocalhost\n10.0.0.1\tbig\n10.0.0.2\tvm1\n10.0.0.3\tx\n"
    )


def test_hosts_get_an_alias_by_their_role(collected: Node) -> None:
    hosts = collected.root / "hosts"

    collected.helper("lava-network", "alias-hosts", str(hosts))

    assert hosts.read_text() == (
        "10.0.0.1\tbig\thost01\n10.0.0.2\tvm1\tclient01\n10.0.0.3\tx\tclient02\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [(), ("query",), ("query", "a", "b"), ("hosts", "file"), ("fly", "eth0"), ("broadcast",)],
)
def test_lava_network_refuses_what_it_cannot_do(node: Node, arguments: tuple[str, ...]) -> None:
    node.unpack()

    ran = node.helper("lava-network", *arguments)

    assert (ran.returncode, ran.stdout) == (1, "")


def test_the_system_is_told_in_one_line(node: Node) -> None:
    node.unpack()

    ran = node.helper("lava-os-build")

    assert ran.returncode == 0
    assert len(ran.stdout.splitlines()) == 1
    assert ran.stdout.strip()


def test_helpers_of_lavas_that_have_nothing_to_do_say_so(node: Node) -> None:
    node.unpack()

    ran = node.helper("lava-echo-config", "board")
    assert (ran.returncode, ran.stdout) == (1, "no shared config\n")

    ran = node.helper("lava-vm-groups-setup-host")
    assert ran.returncode == 0
    assert "nothing needs to be done" in ran.stdout
