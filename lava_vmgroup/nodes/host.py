# SPDX-License-Identifier: MIT
"""The host: the board, and what makes it a home for virtual machines.

Its test shell runs beside those of the VMs and is followed by waiting for them, so whatever
comes next on the host (another test shell, a reboot, the end) finds them closed.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from lava_vmgroup import boards
from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import (
    JobError,
    NodeSkipped,
    PeerFailed,
    TestError,
    VMGroupError,
)
from lava_vmgroup.base.shell_programs import sh_command
from lava_vmgroup.config import labgrid
from lava_vmgroup.config.settings import DEFAULT_BOOT, BootSettings
from lava_vmgroup.connections.link import Link
from lava_vmgroup.connections.ssh import dial
from lava_vmgroup.connections.ssh_access import Access
from lava_vmgroup.console.access import KeyOwner, open_to_ssh
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.deploy.tftp import KernelFiles
from lava_vmgroup.job.expansion import IMAGE_COMMANDS
from lava_vmgroup.job.model import NodeJob
from lava_vmgroup.multinode.api import VM_START, VM_STOP
from lava_vmgroup.nodes.node import Node
from lava_vmgroup.nodes.shared import Shared
from lava_vmgroup.systems.over_ssh import OverSsh
from lava_vmgroup.vms.facts import ask
from lava_vmgroup.vms.heartbeat import Heartbeat
from lava_vmgroup.vms.introduction import OFFER_ID, Hello, Offer, hello_id, no_offer
from lava_vmgroup.vms.network import bridge_of, make_network
from lava_vmgroup.vms.requires import check_requires, questions_of
from lava_vmgroup.vms.supervisor import Supervisor, job_folder
from lava_vmgroup.vms.vm_host import DIAL_S

_HELLO_S = 60.0
_ALIVE_S = 5.0
"""Seconds for a host whose console shows text of firmware: if it was not reset, it answers."""
_DIALING = "SSH to the host"


class HostNode(Node):
    """The board as a node of the group."""

    def __init__(self, job: NodeJob, name: str, shared: Shared, token: CancelToken) -> None:
        assert shared.lab.device is not None, "a process that runs a host has its device"
        self._device = shared.lab.device
        super().__init__(job, name, shared, token, self._device)
        setup = boards.BoardSetup(
            config=self._device,
            dispatcher=shared.lab.dispatcher,
            recorder=self.console_log,
            log=self.log,
            files=shared.files,
            job=shared.group.target_group,
            watch=self.watch,
        )
        self._board = boards.load(setup)
        if not self._board.deploys:
            _refuse_deployments(job, self._device.hostname)
        shared.host.has_died = lambda: self.watch.system_died
        self._touched = False
        if place := self._device.environment.get(labgrid.PLACE):
            self.attributes["labgrid_place"] = place
        self._group = shared.group.target_group
        self._supervisor = Supervisor(job_folder(self._device.vm_folder, self._group))
        self._vms_started = False
        self._vms_waited_for = False

    @property
    def is_up(self) -> bool:
        """True if the host is up already; the job does not boot it and leaves it as it is."""
        return not self._board.deploys

    def deploy_image(self, image: Path, deadline: Deadline, pflash: Sequence[Path] = ()) -> None:
        """See `Node.deploy_image`."""
        assert not pflash, "a board's flash is not the job's; refused with the job"
        self._stop_using_system(deadline)
        self._board.deploy_image(image, deadline)

    def deploy_kernel(self, files: KernelFiles, deadline: Deadline) -> None:
        """See `Node.deploy_kernel`."""
        self._stop_using_system(deadline)
        self._board.deploy_kernel(files, deadline)

    def boot(self, deadline: Deadline, settings: BootSettings = DEFAULT_BOOT) -> None:
        """Boot the board, open it to the VMs, and tell them to start."""
        self._board.configure(settings.over(self.config))
        self._stop_using_system(deadline)
        shell = self._board.boot(deadline)
        self.watch.came_up(shell, deadline)
        self._system = system = self._reached(shell, deadline)
        self._open_to_vms(system, deadline)
        if self.job.auto_start_vms and not self._vms_started:
            self.client.send(VM_START, {"host_ip": self.attributes["host_ip"]}, deadline)
            self._vms_started = True

    def message_sent(self, message_id: str) -> None:
        """See `Node.message_sent`: a test of the host may start the VMs by ``lava-start-vms``."""
        if message_id == VM_START:
            self._vms_started = True

    @property
    def waits_after_tests(self) -> bool:
        """See `Node.waits_after_tests`."""
        return self._vms_started and not self._vms_waited_for

    def test_shell_ended(self, deadline: Deadline) -> None:
        """Wait for the VMs before anything else happens to the host."""
        self._wait_for_vms(deadline)

    def finish(self, deadline: Deadline) -> None:
        """Stay up until the VMs have ended, even if the host runs nothing itself.

        Raises `TestError` if the host's tests should have started the VMs and did not.
        """
        self.ensure_booted(deadline)
        if not self._vms_started:
            raise TestError(
                "auto_start_vms is false, and the host's tests ended without lava-start-vms",
                hint="call lava-start-vms in a test of the host",
            )
        self._wait_for_vms(deadline)

    def close(self) -> None:
        """Wait for the VMs to leave, remove the job's traces from the host, and switch it off."""
        self.watch.stop()
        try:
            limit = self.shared.cleanup.step("telling the VMs to leave")
            self.client.with_token(limit.token).send(VM_STOP, {}, limit)
            limit = self.shared.cleanup.step("waiting for the VMs to close")
            self.client.with_token(limit.token).wait_all(VM_STOP, limit)
        except VMGroupError as error:
            text = f"not all VMs are known to be closed; leaving the host anyway: {error.message}"
            self.log.warning("cleanup", text)
        self._leave_system()
        if self._touched:
            self._switch_off(self.shared.cleanup.step("power_off_cmd"))
        self._board.close()

    def _switch_off(self, limit: Deadline) -> None:
        if not self.shared.lab.holds_device(limit):
            text = "the board is not switched off: it is not known to be the job's any more"
            self.log.warning("cleanup", text)
            return
        try:
            self._board.power_off(limit)
        except VMGroupError as error:
            self.log.warning("cleanup", f"the board could not be switched off: {error}")

    def _wait_for_vms(self, deadline: Deadline) -> None:
        if not self._vms_started or self._vms_waited_for:
            return
        self.log.event("state", "waiting for the VMs to finish", state="waiting for the VMs")
        self.client.send(VM_STOP, {}, deadline)
        closed = self.client.wait_all(VM_STOP, deadline)
        self._vms_waited_for = True
        if lost := [name for name, _ in self.members if name not in closed]:
            raise PeerFailed(f"{', '.join(lost)} left the group without closing")

    def _stop_using_system(self, deadline: Deadline) -> None:
        self._wait_for_vms(deadline)
        self._leave_system()
        self.watch.expect_reset()
        self._touched = True

    def _reached(self, shell: Shell, deadline: Deadline) -> OverSsh:
        """Connect to the booted host by SSH; closing the system removes the job from the host."""
        access = self._board.access or self._make_access(shell, deadline)
        self.shared.host.lab_key = access.key
        link = dial(access.address, access.key, deadline.sub(_DIALING, DIAL_S))
        system = OverSsh(shell, link, access, self._supervisor)
        system.resources.enter_context(link)
        system.resources.callback(self._clean_up, link)
        return system

    def _open_to_vms(self, system: OverSsh, deadline: Deadline) -> None:
        """Have the host supervised, and offer it to the VMs."""
        link, shell, access = system.link, system.shell, system.access
        host_ip = self.attributes.setdefault("host_ip", link.peer_ip)
        self.log.event("host", f"the host is reachable at {host_ip}", host_ip=host_ip)
        self._be_supervised(system, deadline)
        self.watch.ask_of_resets(lambda: self._was_reset(link))
        self._check_requires(link, deadline)
        # Programs that tests leave in the background end with the job.
        shell.run(f"export {shlex.quote(self._supervisor.mark('.host'))}", deadline)
        hellos = self._hellos(deadline.sub("the VMs to introduce themselves", _HELLO_S))
        network = None
        if any(hello.wants_network for hello in hellos):
            network = make_network(self._group, self.job.number, link, self.log, deadline)
            shell.run(network.host_setup(self.job.number), deadline)
        keys = [key for hello in hellos for key in hello.public_keys]
        self._let_in(keys, access.keys_file, link, deadline)
        offer = Offer(
            address=access.address,
            folder=self._device.vm_folder,
            store_limit_mib=self._device.vm_store_limit,
            network=network,
        )
        self.client.send(OFFER_ID, offer.to_message(), deadline)

    def _was_reset(self, link: Link) -> bool:
        limit = Deadline.after("the host after its firmware's words", _ALIVE_S)
        return not self._supervisor.sees_same_boot(link, limit)

    def _check_requires(self, link: Link, deadline: Deadline) -> None:
        """Raise `NodeSkipped` for the whole group if the host lacks a requirement of the job."""
        if not self.job.requires:
            return
        lab = self.shared.lab
        asked = questions_of([self.job], lab)
        facts = ask(self._device.vm_folder, asked, link, deadline)
        try:
            check_requires(self.job, lab, facts)
        except NodeSkipped as skipped:
            # The VMs wait for both messages, also those of other dispatchers.
            self.client.send(OFFER_ID, no_offer(skipped.message), deadline)
            self.client.send(VM_START, {}, deadline)
            raise

    def _be_supervised(self, system: OverSsh, deadline: Deadline) -> None:
        """Start the supervisor, which removes the job from the host even if this process dies."""
        link, keys_file = system.link, system.access.keys_file
        bridge, patience_s = bridge_of(self._group), self._device.host_heartbeat_timeout
        told = self._supervisor.start(
            link, deadline, patience_s=patience_s, bridge=bridge, keys_file=keys_file
        )
        for line in told:
            self.log.warning("leftovers", f"an earlier job was not cleaned up: {line}")
        heartbeat = Heartbeat(
            self._supervisor.listen(link, deadline),
            lambda limit: self._supervisor.listen(link, limit, again=True),
            patience_s,
            self.host_is_lost,
        )
        system.resources.callback(heartbeat.stop)

    def _hellos(self, deadline: Deadline) -> list[Hello]:
        vms = [name for name, _ in self.members if name != self.name]
        said = [self.client.wait(hello_id(vm), deadline).get(vm, {}) for vm in vms]
        return [Hello.from_message(data) for data in said]

    def _let_in(self, keys: Sequence[str], file: str, link: Link, deadline: Deadline) -> None:
        """Have the host accept the keys of VMs that other processes run."""
        if keys:
            lines = "".join(f"{key} lava-vmgroup-{self._group}\n" for key in keys)
            limit = deadline.sub("the VMs' keys", DIAL_S)
            words = sh_command("nodes/add_keys.sh", file)
            link.check_run(words, limit, stdin=lines.encode())

    def _make_access(self, shell: Shell, deadline: Deadline) -> Access:
        owner = KeyOwner(
            ip=self.shared.lab.dispatcher.lava_server_ip,
            key=self.shared.host.key,
            job=self._group,
            claim=self._supervisor.owner,
        )
        opened = open_to_ssh(shell, self._device, owner, log=self.log, deadline=deadline)
        self.attributes["host_ip"] = opened.ip
        return opened.access

    def _leave_system(self) -> None:
        system, self._system = self._system, None
        if system is not None:
            system.close()

    def _clean_up(self, link: Link) -> None:
        """Remove the job's folder and key from the running host, as far as it still answers."""
        limit = self.shared.cleanup.step("cleaning up the host")
        try:
            self._supervisor.end(link, self.shared.host.removal_deadline(limit))
        except VMGroupError as error:
            self.log.warning("cleanup", f"the host could not be cleaned up: {error}")


def _refuse_deployments(job: NodeJob, hostname: str) -> None:
    deploying = next((one for one in job.actions if one.command in IMAGE_COMMANDS), None)
    if deploying is not None:
        raise JobError(
            f"{deploying.place}: the host {hostname} is up already, nothing can be deployed to it",
            hint=f"give {deploying.command} the role of the VMs it is for",
        )
