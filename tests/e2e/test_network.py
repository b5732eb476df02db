# SPDX-License-Identifier: MIT
"""The VMs' network where the host does not allow a bridge."""

from tests.e2e.test_vm_group import group
from tests.support.lab import IMAGES, Lab

NEIGHBOURS = """\
metadata: {format: Lava-Test-Shell Test Definition 1.0, name: neighbours, description: ping}
run:
  steps:
    - lava-send here-$(lava-self) ip="$LAVA_VM_GROUP_IP"
    - |
      for name in $(lava-group guest); do
          lava-wait "here-$name"
          address=$(sed -n 's/.*:ip=//p' /tmp/lava_multi_node_cache.txt)
          lava-test-case "reaches-$name" --shell ping -c 1 -W 10 "$address"
      done
    - lava-test-case reaches-host --shell ping -c 1 -W 10 10.0.2.2
    - lava-test-case network-card --result pass --measurement "$LAVA_VM_GROUP_IFACE"
    - lava-send done-$(lava-self)
    - for name in $(lava-group guest); do lava-wait "done-$name"; done
"""


def test_vms_reach_each_other_without_a_bridge(lab: Lab) -> None:
    image = str(IMAGES / "vm-arm64.img")
    guests = {"device_type": "kvm-aarch64", "role": "guest", "count": 2, "image": image}
    job = group(guests)
    job["actions"][1]["parameters"]["role"] = "guest"
    (device,) = (lab.board / "config/devices").glob("*.conf")
    with device.open("a") as config:
        config.write("login_commands = rm -f /dev/net/tun\n")

    ended = lab.run(lab.write_job(job, NEIGHBOURS))

    assert ended.status == 0, ended.stderr
    assert "the host allows no bridge" in ended.stderr
    guests_cases = [
        {case["name"]: case["result"] for run in node["runs"] for case in run["cases"]}
        for node in ended.results["nodes"]
        if node["role"] == "guest"
    ]
    names = {node["name"] for node in ended.results["nodes"] if node["role"] == "guest"}
    wanted = {"reaches-host", "network-card", *(f"reaches-{name}" for name in names)}
    assert guests_cases == [dict.fromkeys(wanted, "pass")] * 2
