# SPDX-License-Identifier: MIT
"""A repository of the size and shape of Linaro's test-definitions, on a host and on its guests."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_whole_jobs import HEAD, job
from tests.support.lab import Ended, Lab
from tests.support.local_lab import entry, guest, guest_actions, local_lab, write_job
from tests.support.relay import Relay, relay
from tests.support.repositories import Repository, large_tree
from tests.support.sshd import Server

CHECK = """
cd automated/linux || exit
LC_ALL=C
export LC_ALL
for kind in '-type f' '-type l' '-type f -perm -100'; do find . $kind | wc -l; done
find . -type f | sort | xargs cat | md5sum | cut -c 1-32
"""
DEFINITION = f"""{HEAD}
run:
  steps:
    - lava-test-case untouched --shell test ! -e written
    - echo x >written
    - lava-test-case whole --shell 'sh check.sh | diff - wanted'
"""


@pytest.fixture
def network(sshd: Server) -> Iterator[Relay]:
    with relay(sshd.address.port) as made:
        yield made


@pytest.fixture
def lab(tmp_path: Path, sshd: Server, network: Relay) -> Iterator[Lab]:
    with local_lab(tmp_path, sshd, ssh_port=network.port) as made:
        yield made


@pytest.fixture
def size(lab: Lab) -> int:
    """Makes the repository, with three definitions in it; gives the bytes of its files."""
    repository = Repository(lab.folder / "large")
    made = large_tree(repository.folder)
    command = ["sh", "-c", CHECK]
    wanted = subprocess.run(command, cwd=repository.folder, check=True, stdout=subprocess.PIPE)
    files = {f"test{number}.yaml": DEFINITION for number in range(3)}
    repository.commit({**files, "check.sh": CHECK, "wanted": wanted.stdout.decode()})
    return made


def shell_of(role: str, definitions: int) -> dict[str, Any]:
    sources = [{"git-repo": "large", "testdef": f"test{n}.yaml"} for n in range(definitions)]
    parameters = {"testdef_repos": sources, "lava_test_dir": "@FOLDER@/tests/%s", "role": role}
    return {"command": "lava_test_shell", "parameters": parameters}


def long_job(*vms: dict[str, Any], actions: list[Any]) -> dict[str, Any]:
    """A job whose guests have the time that an emulator on a busy machine may take."""
    return {**job(*vms, actions=actions), "timeout": 900}


def cases(ended: Ended, role: str) -> list[list[tuple[str, str]]]:
    return [
        [(case["name"], case["result"]) for case in run["cases"]]
        for node in ended.results["nodes"]
        if node["role"] == role
        for run in node["runs"]
    ]


GOOD = [("untouched", "pass"), ("whole", "pass")]


def test_definitions_of_a_large_repository_have_copies_of_their_own_on_a_host(
    lab: Lab, network: Relay, size: int
) -> None:
    ended = lab.run(write_job(lab, long_job(entry("guest"), actions=[shell_of("host", 3)])))

    assert ended.status == 0, ended.stderr
    assert cases(ended, "host") == [GOOD] * 3
    assert size < network.forwarded < 1.5 * size


def test_large_repository_travels_once_for_all_guests(
    images: None, lab: Lab, network: Relay, size: int
) -> None:
    actions = [*guest_actions("guest"), shell_of("guest", 2)]

    ended = lab.run(write_job(lab, long_job(guest("guest", count=2), actions=actions)))

    assert ended.status == 0, ended.stderr
    assert cases(ended, "guest") == [GOOD] * 4
    packed = [one for one in ended.results["uploads"] if one["size"] > size]
    assert [len(one["used_by"]) for one in packed] == [2]
    sent = sum(one["bytes_sent"] for one in ended.results["uploads"])
    assert network.forwarded < sent + 0.5 * size


def test_guest_whose_memory_holds_no_large_repository_is_refused_before_it_boots(
    images: None, lab: Lab, size: int
) -> None:
    (lab.config / "device-types/kvm-aarch64.conf").write_text("qemu_networks =\nqemu_memory = 52\n")
    actions = [*guest_actions("guest"), shell_of("guest", 1)]
    del actions[1]  # the test shell boots the guest

    ended = lab.run(write_job(lab, long_job(guest("guest"), actions=actions)))

    assert ended.status == 2, ended.stderr
    assert "the tests and their repositories take 53 MiB and the ramdisk" in ended.stderr
    assert "52 MiB of memory and no disk" in ended.stderr
    assert ended.console(ended.results["nodes"][1]["name"]) == ""


def test_guest_without_room_for_a_large_repository_is_told_so_before_it_travels(
    images: None, lab: Lab, network: Relay, size: int
) -> None:
    (lab.config / "device-types/kvm-aarch64.conf").write_text("qemu_networks =\nqemu_memory = 64\n")
    actions = [*guest_actions("guest"), shell_of("guest", 1)]

    ended = lab.run(write_job(lab, long_job(guest("guest"), actions=actions)))

    assert ended.status == 2, ended.stderr
    assert "the tests and their repositories take 53 MiB on the node" in ended.stderr
    assert all(one["size"] < size for one in ended.results["uploads"])


def test_large_repository_is_refused_where_it_would_have_to_be_typed(lab: Lab, size: int) -> None:
    actions = [shell_of("guest", 1)]

    ended = lab.run(write_job(lab, long_job(entry("guest"), actions=actions)))

    assert ended.status == 2, ended.stderr
    assert "the tests have 53 MiB, compressed " in ended.stderr
    assert "take 16 MiB at most, by its console alone" in ended.stderr
