# SPDX-License-Identifier: MIT
"""A group whose host cannot be booted: everybody ends, for the right reason."""

import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lava_vmgroup import actions
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import Canceled, JobError, PeerFailed
from lava_vmgroup.config import files
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.config.lab import Lab
from lava_vmgroup.job.expansion import expand
from lava_vmgroup.job.parse import parse_job
from lava_vmgroup.multinode.client import Membership, MultiNodeClient
from lava_vmgroup.multinode.coordinator import Coordinator
from lava_vmgroup.nodes.vm import VMNode
from lava_vmgroup.results.model import JobResult, NodeState
from lava_vmgroup.runner.group import GroupRun
from lava_vmgroup.runner.outputs import Outputs
from tests.support.bundles import assert_valid
from tests.support.dashboard import TOKEN, dashboard
from tests.support.processes import until

TESTDEF = "metadata: {format: x, name: t, description: d}\nrun: {steps: ['true']}\n"


def make_run(
    folder: Path,
    *,
    timeout_s: float = 60,
    first: Sequence[Any] = (),
    tested: str | None = None,
    **device: Any,
) -> GroupRun:
    (folder / "t.yaml").write_text(TESTDEF)
    (folder / "vm.img").write_bytes(bytes(512))
    document = {
        "timeout": timeout_s,
        "port": 3079,
        "vm_group": {
            "host": {"device_type": "board"},
            "vms": [{"device_type": "kvm-arm", "role": "guest", "image": "vm.img", "count": 2}],
        },
        "actions": [
            *first,
            {
                "command": "lava_test_shell",
                "parameters": {"testdef_urls": ["t.yaml"], **({"role": tested} if tested else {})},
                "metadata": {"branch": "main"},
            },
        ],
    }
    job = parse_job(document, folder, actions.parameter_schemas())
    config: dict[str, Any] = {
        "hostname": "board01",
        "client_type": "bootloader",
        "connection_command": "cat",
        "connection_command_pattern": "",
        "power_off_cmd": f"echo off >>{folder}/power",
        "boot_cmds": "boot",
        **device,
    }
    lab = Lab(
        device=DeviceConfig(**config),
        dispatcher=DispatcherConfig(host_command_retries=1),
        search_path=files.search_path(folder),
    )
    group = expand(job, job_id="1", target_group="group")
    return GroupRun(group, lab, "1", Outputs(folder=folder / "out"))


def run(folder: Path, **device: Any) -> JobResult:
    before = set(threading.enumerate())
    result = make_run(folder, **device).run()
    assert set(threading.enumerate()) == before
    return result


@pytest.mark.parametrize(("tested", "warned"), [("host", 2), ("guest", 0), (None, 0)])
def test_vm_on_which_nothing_is_run_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, tested: str | None, warned: int
) -> None:
    make_run(tmp_path, tested=tested, hard_reset_command="exit 3", boot_retries=1).run()

    assert [
        record.message for record in caplog.records if "nothing is run on it" in record.message
    ] == ["role 'guest': nothing is run on it, so it is not started"] * warned


def test_vms_end_with_their_host_and_blame_it(tmp_path: Path) -> None:
    result = run(tmp_path, hard_reset_command="echo no power; exit 3", boot_retries=1)

    host, *vms = result.nodes
    assert host.state is NodeState.INCOMPLETE
    assert result.cause is host.error
    assert result.exit_status == 4
    assert "hard_reset_command failed with exit status 3" in str(result.cause)
    assert len(vms) == 2
    for vm in vms:
        assert isinstance(vm.error, PeerFailed)
        assert "board01 failed: hard_reset_command failed" in vm.error.message
    assert (tmp_path / "power").read_text() == "off\n"


def test_obsolete_key_is_ignored_aloud(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "lava_vmgroup"):
        run(tmp_path, hard_reset_command="exit 3", boot_retries=1)

    told = [message for message in caplog.messages if "obsolete" in message]
    assert told == ["port in the job is obsolete and ignored"]


def test_metadata_of_an_action_that_began_is_in_the_results(tmp_path: Path) -> None:
    host, *vms = run(tmp_path, hard_reset_command="exit 3", boot_retries=1).nodes

    assert host.attributes["branch"] == "main"
    # A VM waits for its host in the deployment, so its test shell did not begin.
    assert ["branch" in vm.attributes for vm in vms] == [False, False]


def test_job_that_takes_too_long_names_what_it_waited_for(tmp_path: Path) -> None:
    result = run(tmp_path, timeout_s=1, hard_reset_command="true", boot_retries=3)

    assert result.exit_status == 5
    assert "autoboot message, within the job, limit 1 s" in str(result.cause)


def test_results_of_a_group_are_submitted_when_it_has_ended_however_that_was(
    tmp_path: Path,
) -> None:
    with dashboard() as server:
        parameters = {"server": server.server, "stream": "/anonymous/x/", "token": TOKEN}
        first = [{"command": "submit_results", "parameters": parameters}]
        result = run(tmp_path, first=first, hard_reset_command="exit 3", boot_retries=1)

    assert server.calls == ["put_pending", "put_pending", "put_group"]
    (bundle,) = server.published
    assert_valid(bundle)
    host = bundle["test_runs"][-1]
    assert host["attributes"]["target"] == "board01"
    assert [one["test_case_id"] for one in host["test_results"]] == [
        "lava_test_shell",
        "job_complete",
    ]
    assert (tmp_path / "out/result-bundle").read_text().startswith("http://localhost/bundles/1")
    assert [node.actions[-1].command for node in result.nodes] == ["submit_results"] * 3
    assert result.exit_status == 4


def test_cancel_ends_every_node_and_switches_the_board_off(tmp_path: Path) -> None:
    group = make_run(tmp_path, hard_reset_command="true")
    threading.Timer(0.5, group.cancel, [Canceled("canceled by SIGTERM", signal_number=15)]).start()

    result = group.run()

    assert {node.state for node in result.nodes} == {NodeState.CANCELED}
    assert result.exit_status == 143
    assert (tmp_path / "power").read_text() == "off\n"


def test_second_cancel_hurries_a_step_of_the_clean_up_that_has_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("lava_vmgroup.runner.group._HURRY_S", 0.5)
    switching = tmp_path / "switching"
    group = make_run(
        tmp_path, hard_reset_command="true", power_off_cmd=f"touch {switching}; exec sleep 600"
    )

    def cancel_twice() -> None:
        reason = Canceled("canceled by SIGTERM", signal_number=15)
        group.cancel(reason)
        until(switching.exists)
        group.cancel(reason)

    canceling = threading.Timer(0.5, cancel_twice)
    canceling.start()

    assert group.run().exit_status == 143
    canceling.join()
    until(lambda: not [one for one in threading.enumerate() if isinstance(one, threading.Timer)])
    expected = "could not be switched off: timed out: a step of the hurried clean-up, limit 0.5 s"
    assert any(expected in message for message in caplog.messages), caplog.messages


def test_peer_that_was_canceled_first_is_no_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = make_run(tmp_path, hard_reset_command="true")

    def hear_of_peer_first(client: MultiNodeClient, *_: object) -> None:
        group.cancel(Canceled("canceled by SIGTERM", signal_number=15))
        client._token.wait(60)
        raise PeerFailed("vm1-job1.2 failed: canceled by SIGTERM")

    monkeypatch.setattr(MultiNodeClient, "wait", hear_of_peer_first)

    assert {node.state for node in group.run().nodes} == {NodeState.CANCELED}


@pytest.mark.parametrize(
    ("canceled", "status", "state"),
    [(True, 143, NodeState.CANCELED), (False, 6, NodeState.INCOMPLETE)],
)
def test_sub_job_that_is_canceled_while_it_cleans_up_after_a_peer(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    canceled: bool,
    status: int,
    state: NodeState,
) -> None:
    """The peer's end is the same cancel if the peer was canceled, and another end if not."""
    whole = make_run(tmp_path)
    group = replace(whole._group, nodes=whole._group.nodes[1:2], is_sub_job=True)
    close = VMNode.close
    soon = Deadline.after("the test", 60.0)

    def close_late(node: VMNode) -> None:
        sub_job.cancel(Canceled("canceled by SIGTERM", signal_number=15))
        close(node)

    monkeypatch.setattr(VMNode, "close", close_late)
    with Coordinator() as coordinator:
        members = [
            MultiNodeClient(
                coordinator.endpoint,
                Membership(
                    group_name=group.target_group,
                    group_size=group.size,
                    client_name=name,
                    role=name,
                ),
            )
            for name in ("board01", "vm1-job1.2")
        ]
        sub_job = GroupRun(group, whole._lab, "1", Outputs(folder=tmp_path), coordinator.endpoint)
        results: list[JobResult] = []
        running = threading.Thread(target=lambda: results.append(sub_job.run()))
        running.start()
        host, _ = members
        others = [threading.Thread(target=one.group_data, args=(soon,)) for one in members]
        for other in others:
            other.start()
        for other in others:
            other.join()
        host.fail("canceled by SIGTERM", soon, ends_group=True, canceled=canceled)
        for member in members:
            member.clear(soon)
        running.join()

    (result,) = results
    assert result.exit_status == status
    assert result.nodes[0].state is state


def test_nothing_temporary_is_left_on_the_dispatcher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    look = f"ls {temporary} >{tmp_path}/seen; exit 3"
    run(tmp_path, hard_reset_command=look, boot_retries=1)

    assert (tmp_path / "seen").read_text().startswith("lava-vmgroup-")
    assert list(temporary.iterdir()) == []


def test_bug_is_a_bug_and_not_the_users_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("lava_vmgroup.boards.bootloader.Driver.boot", fail)

    result = run(tmp_path)

    assert result.exit_status == 70
    assert "ZeroDivisionError: oops" in str(result.cause)
    assert result.cause is not None
    assert "report" in str(result.cause.hint)


def test_host_that_is_up_already_takes_no_deployment(tmp_path: Path) -> None:
    key = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    public = key.with_suffix(".pub").read_text()
    (tmp_path / "known_hosts").write_text(f"rack01 {public}")
    deploy = {"command": "deploy_linaro_image", "parameters": {"image": "vm.img"}}
    group = make_run(
        tmp_path,
        first=[deploy],
        client_type="ssh",
        ssh_host="rack01",
        ssh_identity_file=key,
        ssh_known_hosts=(tmp_path / "known_hosts",),
    )

    with pytest.raises(JobError, match=r"actions\[0\]: the host board01 is up already"):
        group.run()


def test_boot_option_that_no_device_has_is_refused_before_anything_is_done(
    tmp_path: Path,
) -> None:
    boot = {"command": "boot_image", "parameters": {"options": ["rootfs=sda1"]}}

    with pytest.raises(JobError, match=r"actions\[0\]: .* has no boot option 'rootfs'"):
        make_run(tmp_path, first=[boot]).run()
    assert not (tmp_path / "power").exists()
