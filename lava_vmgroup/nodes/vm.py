# SPDX-License-Identifier: MIT
"""A virtual machine on the host, as a node of the group."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, JobError, VMGroupError
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.settings import DEFAULT_BOOT, BootSettings, DeploySettings
from lava_vmgroup.connections.stream import ByteStream
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.login import login_of, reach_shell
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.deploy.tftp import KernelFiles
from lava_vmgroup.job.model import NodeJob
from lava_vmgroup.multinode.api import VM_START, VM_STOP
from lava_vmgroup.nodes.node import Node
from lava_vmgroup.nodes.shared import Shared
from lava_vmgroup.systems.over_disk import OverDisk
from lava_vmgroup.systems.room import refuse_in_memory
from lava_vmgroup.vms import backends
from lava_vmgroup.vms.folder import OVERLAY, VMFolder
from lava_vmgroup.vms.introduction import OFFER_ID, Hello, Offer, hello_id
from lava_vmgroup.vms.load import Deployed, Load
from lava_vmgroup.vms.overlay_disk import OverlayDisk, refuse_large
from lava_vmgroup.vms.reached import ReachedHost
from lava_vmgroup.vms.requires import check_requires
from lava_vmgroup.vms.vm_host import VMHost

_NETWORK_S = 30.0


class VMNode(Node):
    """One virtual machine: its files on the host, its program there, its console."""

    def __init__(self, job: NodeJob, name: str, shared: Shared, token: CancelToken) -> None:
        super().__init__(job, name, shared, token, shared.lab.type_of(job.device_type))
        self._backend = backends.load(
            backends.VMSetup(
                job=job,
                name=name,
                nodes=shared.group.nodes,
                lab=shared.lab,
                images=shared.images,
                work=shared.work,
                log=self.log,
                attributes=self.attributes,
            )
        )
        self._reached: ReachedHost | None = None
        self._deployed: Deployed | None = None
        self._running = ExitStack()
        self._folder: VMFolder | None = None

    def configure(self, settings: DeploySettings) -> None:
        """See `Node.configure`."""
        super().configure(settings)
        self._backend.settings = settings

    def join(self, deadline: Deadline) -> None:
        """Introduce the VM to the host, too."""
        super().join(deadline)
        hello = Hello(
            public_keys=() if self.shared.runs_host else self.shared.host.key.publics,
            wants_network=self._backend.wants_network,
        )
        self.client.send(hello_id(self.name), hello.to_message(), deadline)

    def deploy_image(self, image: Path, deadline: Deadline, pflash: Sequence[Path] = ()) -> None:
        """Put the image into the host's store, with the kernel that was found in it."""
        self.log.event("state", f"preparing {image.name}", state="preparing the image")
        self._deploy(self._backend.prepare_image(image, pflash, deadline), deadline)

    def deploy_kernel(self, files: KernelFiles, deadline: Deadline) -> None:
        """Put the files into the host's store."""
        self._deploy(self._backend.prepare_kernel(files, deadline), deadline)

    def _deploy(self, load: Load, deadline: Deadline) -> None:
        at = self._fitting_host(load, deadline)
        self._stop(deadline)
        self._deployed = load.deploy(at, deadline)

    def boot(self, deadline: Deadline, settings: BootSettings = DEFAULT_BOOT) -> None:
        """Launch the VM on the host and bring the guest to a shell on its console."""
        config = settings.over(self.config)
        at = self._reach_host(deadline)
        deployed = self._deployed
        if deployed is None:
            if not self.job.launch_with:
                raise JobError(
                    "there is nothing to boot on this VM",
                    hint=f"give role {self.job.role!r} a deploy action, or the VM an image",
                )
            self._fitting_host(Load(), deadline)
            deployed = Deployed()
        self._stop(deadline)
        deployed = self._backend.choose(deployed, settings)
        self.watch.expect_boot(ramdisk_is_system=deployed.is_ramdisk)
        folder = self._folder = VMFolder(self.name, at.host.supervisor, at.link)
        stream = self._backend.launch(folder, deployed, at, deadline)
        shell = self._shell_on(stream, folder, config, deadline)
        disk = OverlayDisk(f"{folder.path}/{OVERLAY}", at.link, shell, self.log)
        self._system = OverDisk(shell, folder, disk, at.store)
        self.watch.came_up(shell, deadline)
        if not self._backend.restarts:
            self.watch.ask_of_resets(lambda: False)
        self._join_network(shell, at, deadline)

    def _shell_on(
        self, stream: ByteStream, folder: VMFolder, config: DeviceConfig, deadline: Deadline
    ) -> Shell:
        """Bring the guest to a shell on its console."""
        delay_s = self.config.typing_delay_s("test_shell")
        console = self._running.enter_context(
            Console(stream, self.console_log, typing_delay_s=delay_s, watch=self.watch)
        )
        prompts = (self.job.shell_prompt,) if self.job.shell_prompt else ()
        limit = deadline.sub("the VM's shell prompt", config.boot_linaro_timeout)
        try:
            login = login_of(config, *prompts)
            reach_shell(console, login, limit, silence_s=self.watch.silence_s)
            return Shell.prepare(console, limit)
        except InfrastructureError as error:
            if deadline.is_over or error is self.shared.host.loss:
                raise
            limit = self.shared.cleanup.step("reading the words of the VM's program")
            raise self._backend.explained(error, folder, limit) from error

    def expect_tests(self, carried: int, placed: int) -> None:
        """See `Node.expect_tests`."""
        refuse_large(carried)
        deployed, memory_mib = self._deployed, self._backend.memory_mib
        if deployed is None or memory_mib is None:
            return
        if deployed.kernel and not deployed.disk and "nfs" not in deployed.append:
            refuse_in_memory(placed, deployed.initrd_size, memory_mib)

    def close(self) -> None:
        """Stop the VM, remove its folder, and tell the group that this VM is gone."""
        self.watch.stop()
        try:
            self._stop(self.shared.cleanup.step("stopping the VM"))
        except VMGroupError as error:
            self.log.warning("cleanup", f"the VM could not be removed from the host: {error}")
        if self._reached is not None:
            self._reached.close(leaving=self._folder is None)
        try:
            cleanup = self.shared.cleanup.step("telling the group that the VM is gone")
            self.client.with_token(cleanup.token).send(VM_STOP, {}, cleanup)
        except VMGroupError as error:
            self.log.warning("cleanup", f"the group does not know that this VM is gone: {error}")

    def finish(self, deadline: Deadline) -> None:
        """Do nothing: the group learns of the VM's end from `close`."""

    def test_shell_ended(self, deadline: Deadline) -> None:
        """Do nothing: the VM stays up for the next action."""

    def message_sent(self, message_id: str) -> None:
        """Do nothing: only the host notes its messages."""

    def _reach_host(self, deadline: Deadline) -> ReachedHost:
        """Connect to the host, as soon as the host says that VMs may start."""
        if self._reached is None:
            self.log.event("state", "waiting for the host", state="waiting for the host")
            host = self._meet_host(deadline)
            link = host.dial(deadline)
            heartbeat = None
            if not self.shared.runs_host:
                heartbeat = host.heartbeat(self.name, self.host_is_lost, deadline)
            self._reached = ReachedHost(host=host, link=link, log=self.log, heartbeat=heartbeat)
        return self._reached

    def _fitting_host(self, load: Load, deadline: Deadline) -> ReachedHost:
        """Reach the host, and refuse one that cannot carry the VM; nothing is sent there before."""
        at = self._reach_host(deadline)
        check_requires(self.job, self.shared.lab, at.facts(deadline))
        self._backend.fit(load, at, deadline)
        return at

    def _meet_host(self, deadline: Deadline) -> VMHost:
        """Wait until the host, or a test of it, starts the VMs; return the host from its offer."""
        starter, told = next(iter(self.client.wait(VM_START, deadline).items()), ("", {}))
        offers = self.client.wait(OFFER_ID, deadline)
        if "host_ip" in told:
            self.attributes["host_ip"] = told["host_ip"]
        group = self.shared.group.target_group
        return self.shared.host.at(Offer.from_message(offers.get(starter, {}), group))

    def _join_network(self, shell: Shell, at: ReachedHost, deadline: Deadline) -> None:
        """Give the guest its address on the group's network; log a warning if it takes none."""
        port = self._backend.port(at.host)
        if port is None:
            return
        limit = deadline.sub("the guest's network", _NETWORK_S)
        status, _ = shell.run(port.guest_setup, limit)
        if status == 0:
            self.attributes["group_ip"] = str(port.address.ip)
        else:
            self.log.warning("network", "the guest took no address on the group's network")

    def _stop(self, deadline: Deadline) -> None:
        """End the VM's programs on the host and remove its folder there."""
        self.watch.expect_reset()
        self._running.close()
        self._system = None
        limit = self.shared.host.removal_deadline(deadline)
        if self._folder is not None:
            self._folder.remove(limit)
            self._folder = None
