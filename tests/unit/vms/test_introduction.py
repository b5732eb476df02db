# SPDX-License-Identifier: MIT
"""Host and VMs understand each other, and nobody who says something else."""

import ipaddress
import json

import pytest

from lava_vmgroup.base.errors import MultiNodeError, NodeSkipped
from lava_vmgroup.connections.ssh_access import Address
from lava_vmgroup.connections.ssh_keys import JobKey
from lava_vmgroup.vms.introduction import Hello, Offer, no_offer
from lava_vmgroup.vms.network import GroupNetwork

ADDRESS = Address(
    host="10.0.0.5",
    port=2222,
    username="root",
    host_keys=(("ssh-ed25519", "AAAA"), ("ssh-rsa", "BBBB")),
)
SUBNET = ipaddress.IPv4Network("10.42.3.0/24")


@pytest.mark.parametrize("bridge", ["lava-12ab34cd", None])
def test_an_offer_arrives_as_it_was_made(bridge: str | None) -> None:
    network = GroupNetwork(group="group", subnet=SUBNET, bridge=bridge)

    for offer in (
        Offer(address=ADDRESS, folder="/vms", network=network),
        Offer(address=ADDRESS, folder="/vms", store_limit_mib=7),
    ):
        assert Offer.from_message(offer.to_message(), "group") == offer


def test_host_that_is_skipped_tells_its_vms_the_reason_in_place_of_an_offer() -> None:
    with pytest.raises(NodeSkipped) as caught:
        Offer.from_message(no_offer("requires kvm: /dev/kvm is missing"), "group")

    assert caught.value.message == "the host is skipped: requires kvm: /dev/kvm is missing"


@pytest.mark.parametrize(
    "change",
    [
        {"port": "ssh"},
        {"store_limit_mib": "-1"},
        {"port": "65536"},
        {"port": "-1"},
        {"port": "9" * 5000},
        {"patience_s": "-5"},
        {"patience_s": "9999999"},
        {"host_keys": "[" * 100_000},
        {"host_keys": "[1]"},
        {"host_keys": "no JSON"},
        {"subnet": "10.42.3.0/33"},
        {"subnet": "10.42.3.0/24", "bridge": "x; reboot"},
    ],
)
def test_an_offer_that_makes_no_sense_is_refused(change: dict[str, str]) -> None:
    message = {**Offer(address=ADDRESS, folder="/vms").to_message(), **change}

    with pytest.raises(MultiNodeError, match="the host did not say how to reach it"):
        Offer.from_message(message, "group")


def test_a_vm_introduces_itself_with_its_keys() -> None:
    hello = Hello(public_keys=JobKey().publics, wants_network=True)

    assert Hello.from_message(hello.to_message()) == hello


@pytest.mark.parametrize(
    "key",
    [
        'command="reboot" ssh-ed25519 AAAA',
        "ssh-ed25519 AAAA\nssh-ed25519 BBBB",
        "ssh-ed25519 AAAA comment",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
    ],
)
def test_what_is_no_single_public_key_is_not_let_in(key: str) -> None:
    with pytest.raises(MultiNodeError, match="no public key"):
        Hello.from_message({"public_keys": json.dumps([key]), "wants_network": "true"})
