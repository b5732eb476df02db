# SPDX-License-Identifier: MIT
"""A host that shows another SSH key than its own is refused, in whole jobs."""

from pathlib import Path

from tests.integration.test_whole_jobs import HEAD
from tests.support.lab import Ended, Lab
from tests.support.local_lab import entry, local_lab, shell_action, write_job
from tests.support.played_board import TYPE, board_lab
from tests.support.sshd import Server, make_key

HELLO = f"{HEAD}run: {{steps: ['cat ~/.ssh/authorized_keys >>@FOLDER@/authorized']}}\n"


def run(lab: Lab, device_type: str) -> Ended:
    document = {
        "timeout": 120,
        "vm_group": {"host": {"device_type": device_type}, "vms": [entry("guest")]},
        "actions": [shell_action("hello.yaml", "host")],
    }
    return lab.run(write_job(lab, document, hello=HELLO))


def refusal(ended: Ended) -> str:
    """Why the host was refused, by the results of the job, which ends for that reason."""
    assert ended.status == 4, ended.stderr
    host, _ = ended.results["nodes"]
    assert host["error"]["class"] == "InfrastructureError"
    return str(host["error"]["message"])


def test_each_job_has_a_key_of_its_own_on_a_board_that_shows_its_own(
    tmp_path: Path, sshd: Server
) -> None:
    with board_lab(tmp_path, sshd) as lab:
        jobs = [run(lab, TYPE) for _ in range(2)]

    assert [job.status for job in jobs] == [0, 0], [job.stderr for job in jobs]
    lines = (tmp_path / "authorized").read_text().splitlines()
    keys = [line.split() for line in lines if " lava-vmgroup-" in line]
    assert [kind for kind, _, _ in keys] == ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"] * 2
    assert len({key for _, key, _ in keys}) == 6
    assert "lava-vmgroup" not in sshd.authorized_keys.read_text()


def test_key_that_changes_after_it_was_read_on_the_console_is_refused(
    tmp_path: Path, sshd: Server
) -> None:
    own = sshd.home.parent / "host_key"
    make_key(tmp_path / "other")

    with board_lab(tmp_path, sshd, after_reading_keys=f"mv {tmp_path}/other {own}") as lab:
        ended = run(lab, TYPE)

    assert "shows an SSH host key that is not the board's" in refusal(ended)


def test_key_that_is_not_the_labs_is_refused(tmp_path: Path, sshd: Server) -> None:
    public = make_key(tmp_path / "other")
    with local_lab(tmp_path, sshd) as lab:
        name = f"[127.0.0.1]:{sshd.address.port}"
        (lab.folder / "known_hosts").write_text(f"{name} {public}\n")

        ended = run(lab, "rack")

    assert "shows an SSH host key that is not the board's" in refusal(ended)
    assert not (lab.folder / "vms").exists()
