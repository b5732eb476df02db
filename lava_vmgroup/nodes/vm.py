# SPDX-License-Identifier: MIT
"""A virtual machine on the host, as a node of the group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, JobError, NodeSkipped, Unfit, VMGroupError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.config.commands import names_root
from lava_vmgroup.config.device import QemuArch, QemuNetwork
from lava_vmgroup.config.settings import DEFAULT_BOOT, BootSettings
from lava_vmgroup.connections.link import Link
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.login import login_of, reach_shell
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.deploy.root_device import layout_of
from lava_vmgroup.deploy.tftp import KernelFiles
from lava_vmgroup.job.model import NodeJob
from lava_vmgroup.multinode.api import VM_START, VM_STOP
from lava_vmgroup.nodes.fitness import Cargo, check_host, check_requires, config_of, guest_of
from lava_vmgroup.nodes.node import Node
from lava_vmgroup.nodes.shared import Shared
from lava_vmgroup.nodes.vm_kernel import check_kernel, fitting_tree, with_right_root
from lava_vmgroup.nodes.vm_plan import Deployed, VMPlan, qemu_ended
from lava_vmgroup.systems.over_disk import OverDisk
from lava_vmgroup.systems.room import refuse_in_memory
from lava_vmgroup.vms.accelerator import UNKNOWN_ACCELERATOR, Accelerator, HostFacts
from lava_vmgroup.vms.folder import LAUNCH, OVERLAY, VMFolder, launch_program
from lava_vmgroup.vms.heartbeat import Heartbeat
from lava_vmgroup.vms.host import VMHost
from lava_vmgroup.vms.images import StoredFile, stored
from lava_vmgroup.vms.introduction import OFFER_ID, Hello, Offer, hello_id
from lava_vmgroup.vms.network import HOOK
from lava_vmgroup.vms.overlay_disk import OverlayDisk, refuse_large
from lava_vmgroup.vms.qemu import Machine, argv, argv_around

_NETWORK_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachedHost:
    """The host of a VM, and the VM's own connection to it."""

    host: VMHost
    link: Link
    log: NodeLog
    heartbeat: Heartbeat | None
    """The VM's own, if its host is run by another process."""

    def store(self, file: StoredFile, deadline: Deadline) -> str:
        """Put a file into the host's image store; return its path there."""
        return self.host.store.put(file.path, file.digest, self.link, self.log, deadline)

    def store_given(self, file: StoredFile | None, deadline: Deadline) -> str | None:
        """Put a file, if there is one, into the host's image store; return its path there."""
        return None if file is None else self.store(file, deadline)

    def store_all(self, files: Iterable[StoredFile], deadline: Deadline) -> tuple[str, ...]:
        """Put files into the host's image store; return their paths there."""
        return tuple(self.store(file, deadline) for file in files)


class VMNode(Node):
    """One virtual machine: its files on the host, its QEMU, its console."""

    def __init__(self, job: NodeJob, name: str, shared: Shared, token: CancelToken) -> None:
        super().__init__(job, name, shared, token, config_of(job, shared.lab))
        self._reached: ReachedHost | None = None
        self._deployed: Deployed | None = None
        self._running = ExitStack()
        self._folder: VMFolder | None = None

    def join(self, deadline: Deadline) -> None:
        """Introduce the VM to the host, too."""
        super().join(deadline)
        hello = Hello(
            public_keys=() if self.shared.runs_host else self.shared.key.publics,
            wants_network=QemuNetwork.GROUP in self.config.qemu_networks,
        )
        self.client.send(hello_id(self.name), hello.to_message(), deadline)

    def deploy_image(self, image: Path, deadline: Deadline, pflash: Sequence[Path] = ()) -> None:
        """Put the image into the host's store, with the kernel that was found in it."""
        self.log.event("state", f"preparing {image.name}", state="preparing the image")
        arch = self.config.qemu_arch
        architecture = None if arch is QemuArch.HOST else arch.value
        prepared = self.shared.images.prepare(image, deadline, architecture)
        for warning in prepared.warnings:
            self.log.warning("kernel", f"{image.name}: {warning}")
        flash = [stored(path, deadline) for path in pflash]
        by_firmware = bool(flash) or self._settings.bootloadertype == "uefi"
        kernel, initrd = (None, None) if by_firmware else (prepared.kernel, prepared.initrd)
        if kernel is not None:
            fitting_tree(None, self.job, self.config, self.log)
            check_kernel(kernel.path, self.job, self.config, None, self.log)
        at = self._reach_host(deadline)
        cargo = Cargo(
            files=(prepared.disk, kernel, initrd, *flash),
            layer=image.stat().st_size,
            wants_firmware=not flash and kernel is None,
            kernel=kernel,
        )
        self._check_host(cargo, at, deadline)
        self._stop(deadline)
        append, root = prepared.append, self._settings.root_part or prepared.partition
        if append is None:
            arguments = self.config.kernel_arguments("boot_cmds")
            append = arguments.replace(self.config.root_device, f"/dev/vda{root or ''}")
        self._deployed = Deployed(
            disk=at.store(prepared.disk, deadline),
            disk_size=image.stat().st_size,
            kernel=at.store_given(kernel, deadline),
            initrd=at.store_given(initrd, deadline),
            append=append if kernel else "",
            layout=prepared.layout if kernel else None,
            root=root,
            pflash=at.store_all(flash, deadline),
        )

    def deploy_kernel(self, files: KernelFiles, deadline: Deadline) -> None:
        """Put the files into the host's store."""
        files = replace(files, dtb=fitting_tree(files.dtb, self.job, self.config, self.log))
        given = {
            name: stored(path, deadline)
            for name in ("kernel", "ramdisk", "dtb", "rootfs", "firmware")
            if (path := getattr(files, name)) is not None
        }
        flash = [stored(path, deadline) for path in files.pflash]
        disk_size = files.rootfs.stat().st_size if files.rootfs else 0
        layout = layout_of(files.rootfs, deadline) if files.rootfs else None
        root = layout.root() if layout else None
        if files.kernel is not None:
            check_kernel(files.kernel, self.job, self.config, None, self.log)
        at = self._reach_host(deadline)
        cargo = Cargo(
            files=(*given.values(), *flash),
            layer=disk_size,
            wants_firmware=not (files.kernel or files.firmware or flash),
            kernel=given.get("kernel"),
        )
        self._check_host(cargo, at, deadline)
        self._stop(deadline)
        remote = {name: at.store(file, deadline) for name, file in given.items()}
        self._deployed = Deployed(
            disk=remote.get("rootfs"),
            disk_size=disk_size,
            kernel=remote.get("kernel"),
            initrd=remote.get("ramdisk"),
            initrd_size=files.ramdisk.stat().st_size if files.ramdisk else 0,
            dtb=remote.get("dtb"),
            append=self.config.kernel_arguments(
                "boot_cmds" if files.rootfs else "boot_cmds_ramdisk"
            ),
            layout=layout if files.kernel else None,
            root=self._settings.root_part or (root.number if root else None),
            firmware=remote.get("firmware"),
            pflash=at.store_all(flash, deadline),
        )

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
            self._check_host(Cargo(), at, deadline)
            deployed = Deployed()
        self._stop(deadline)
        if settings.chooses_commands:
            key = "boot_cmds" if deployed.disk else "boot_cmds_ramdisk"
            deployed = replace(deployed, append=config.kernel_arguments(key))
        deployed = with_right_root(deployed, self.job, self.log)
        is_ramdisk = deployed.initrd is not None and deployed.disk is None
        self.watch.expect_boot(
            ramdisk_is_system=is_ramdisk and not names_root(deployed.append or "")
        )
        folder = self._folder = VMFolder(self.name, at.host.supervisor, at.link)
        console = self._launch(folder, deployed, at, deadline)
        prompts = (self.job.shell_prompt,) if self.job.shell_prompt else ()
        limit = deadline.sub("the VM's shell prompt", config.boot_linaro_timeout)
        try:
            login = login_of(config, *prompts)
            reach_shell(console, login, limit, silence_s=self.watch.silence_s)
            shell = Shell.prepare(console, limit)
        except InfrastructureError as error:
            if deadline.is_over:
                raise
            raise self._explained(error, folder) from error
        self._system = self._system_in(folder, shell, at)
        self.watch.came_up(shell, deadline)
        if not self.job.launch_with:
            self.watch.ask_of_resets(lambda: False)  # QEMU ends instead: -no-reboot
        self._join_network(shell, at.host, deadline)

    def expect_tests(self, carried: int, placed: int) -> None:
        """See `Node.expect_tests`."""
        refuse_large(carried)
        deployed = self._deployed
        if deployed is None or self.job.launch_with or self.config.qemu_options:
            return  # it may have disks that nothing here knows of
        if deployed.kernel and not deployed.disk and "nfs" not in deployed.append:
            refuse_in_memory(placed, deployed.initrd_size, self.config.qemu_memory)

    def close(self) -> None:
        """Stop QEMU, remove the VM's folder, and tell the group that this VM is gone."""
        self.watch.stop()
        try:
            self._stop(self.shared.cleanup("stopping the VM"))
        except VMGroupError as error:
            self.log.warning("cleanup", f"the VM could not be removed from the host: {error}")
        if self._reached is not None:
            if self._reached.heartbeat is not None:
                self._reached.heartbeat.stop(leaving=self._folder is None)
            self._reached.link.close()
        try:
            cleanup = self.shared.cleanup("telling the group that the VM is gone")
            self.client.with_token(cleanup.token).send(VM_STOP, {}, cleanup)
        except VMGroupError as error:
            self.log.warning("cleanup", f"the group does not know that this VM is gone: {error}")

    def finish(self, deadline: Deadline) -> None:
        """A VM owes nothing: its group learns that it is gone when it is."""

    def test_shell_ended(self, deadline: Deadline) -> None:
        """Nothing follows; the VM stays up for the next action."""

    def message_sent(self, message_id: str) -> None:
        """Only the host's messages matter to the host."""

    def _plan(self, host: VMHost) -> VMPlan:
        return VMPlan(job=self.job, name=self.name, config=self.config, host=host)

    def _system_in(self, folder: VMFolder, shell: Shell, at: ReachedHost) -> OverDisk:
        disk = OverlayDisk(f"{folder.path}/{OVERLAY}", at.link, shell, self.log)

        return OverDisk(shell, folder, disk, at.store)

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

    def _check_host(self, cargo: Cargo, at: ReachedHost, deadline: Deadline) -> None:
        """Refuse a host that cannot carry the VM before anything is sent there."""
        host, job = at.host, self.job
        facts = host.facts(at.link, deadline)
        check_requires(job, self.shared.lab, facts)
        try:
            check_host(job, self.config, self.shared, host, cargo, at.link, self.log, deadline)
        except Unfit as error:
            if not job.optional:
                raise
            raise NodeSkipped(error.message, hint=error.hint) from error
        # Starting QEMU takes a slow host a while, in which the others may upload.
        kind = f"{job.device_type} {job.accelerator.value}"
        if not job.launch_with and (job.skips_without_qemu or host.is_first(kind)):
            self._accelerator(facts, at, deadline)

    def _accelerator(self, facts: HostFacts, at: ReachedHost, deadline: Deadline) -> Accelerator:
        """Choose how QEMU runs the VM on this host.

        Raises `Unfit`, or `NodeSkipped` if the job goes on without the VM.
        """
        guest = guest_of(self.job, self.config, facts)
        try:
            return at.host.accelerator(guest, at.link, self.log, deadline)
        except Unfit as error:
            if not self.job.skips_without_qemu:
                raise
            raise NodeSkipped(error.message, hint=error.hint) from error

    def _meet_host(self, deadline: Deadline) -> VMHost:
        """Learn how to reach the host once it lets VMs start, be it by a test of its own."""
        starter, told = next(iter(self.client.wait(VM_START, deadline).items()), ("", {}))
        offers = self.client.wait(OFFER_ID, deadline)
        if "host_ip" in told:
            self.attributes["host_ip"] = told["host_ip"]
        group = self.shared.group.target_group
        return self.shared.host_at(Offer.from_message(offers.get(starter, {}), group))

    def _launch(
        self, folder: VMFolder, deployed: Deployed, at: ReachedHost, deadline: Deadline
    ) -> Console:
        """Start the VM in its folder; return its console."""
        plan = self._plan(at.host)
        machine = self._describe(plan, deployed, at, deadline)
        programs = {} if plan.port is None else {HOOK: plan.port.hook}
        if self.job.launch_with and machine is not None:
            programs[LAUNCH] = launch_program(*argv_around(machine))
        folder.make(programs, deadline)
        folder.add_flash(deployed.pflash, deadline)
        if deployed.disk is not None:
            folder.add_layer(deployed.disk, deployed.disk_size, self.shared.work, deadline)
        if self.job.launch_with:
            self.log.event("state", "booting by launch_with", state="booting")
            self.attributes["accelerator"] = UNKNOWN_ACCELERATOR
            limit = deadline.sub("launch_with", self.config.boot_linaro_timeout)
            environment = plan.environment(deployed, can_launch=machine is not None)
            stream = folder.start_by(self.job.launch_with, environment, limit)
        else:
            assert machine is not None, "without launch_with there is a machine to describe"
            self.log.event("state", f"booting under {machine.accelerator.name}", state="booting")
            stream = folder.start(argv(machine), deadline, disk_bytes=deployed.disk_size)
        delay_s = self.config.typing_delay_s("test_shell")
        return self._running.enter_context(
            Console(stream, self.console_log, typing_delay_s=delay_s, watch=self.watch)
        )

    def _describe(
        self, plan: VMPlan, deployed: Deployed, at: ReachedHost, deadline: Deadline
    ) -> Machine | None:
        """The machine to launch, with the accelerator that the host really has.

        None for a VM that the job launches itself, on a host without the QEMU for it.
        """
        config, host, link = self.config, at.host, at.link
        facts = host.facts(link, deadline)
        try:
            accelerator = self._accelerator(facts, at, deadline)
        except (InfrastructureError, NodeSkipped) as error:
            if not self.job.launch_with:
                raise
            self.log.warning("accelerator", f"launch_with has no $LAVA_VM_LAUNCH: {error.message}")
            return None
        cpus = host.reserve(self.name, config.qemu_memory, config.qemu_host_cpus, link, deadline)
        if not self.job.launch_with:
            self.attributes.update(accelerator.attributes)
        guest = guest_of(self.job, config, facts)
        return plan.machine(deployed, guest, accelerator, facts, cpus)

    def _join_network(self, shell: Shell, host: VMHost, deadline: Deadline) -> None:
        """Give the guest its address; one that cannot take it goes without, which is said."""
        port = self._plan(host).port
        if port is None:
            return
        limit = deadline.sub("the guest's network", _NETWORK_S)
        status, _ = shell.run(port.guest_setup, limit)
        if status == 0:
            self.attributes["group_ip"] = str(port.address.ip)
        else:
            self.log.warning("network", "the guest took no address on the group's network")

    def _stop(self, deadline: Deadline) -> None:
        """End what runs of the VM on the host and remove the VM's folder there."""
        self.watch.expect_reset()
        self._running.close()
        self._system = None
        if self.shared.host_loss is not None:
            raise self.shared.host_loss
        if self._folder is not None:
            self._folder.remove(deadline)
            self._folder = None

    def _explained(self, error: InfrastructureError, folder: VMFolder) -> InfrastructureError:
        """A console that closed early, explained by what QEMU said."""
        if error is self.shared.host_loss:
            return error
        said = folder.complaints(self.shared.cleanup("reading QEMU's messages"))
        return qemu_ended(said, self.config) if said else error
