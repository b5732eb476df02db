# SPDX-License-Identifier: MIT
"""A virtual machine on the host, as a node of the group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, JobError, NodeSkipped, Unfit, VMGroupError
from lava_vmgroup.config.commands import names_root
from lava_vmgroup.config.device import QemuArch, QemuNetwork
from lava_vmgroup.config.settings import DEFAULT_BOOT, BootSettings
from lava_vmgroup.connections.ssh import SshLink
from lava_vmgroup.connections.stream import ByteStream
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.login import login_of, reach_shell
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.deploy.root_device import layout_of
from lava_vmgroup.deploy.tftp import KernelFiles
from lava_vmgroup.job.model import NodeJob
from lava_vmgroup.multinode.api import VM_START, VM_STOP
from lava_vmgroup.nodes.fitness import Cargo, check_host, check_requires, config_of, guest_of
from lava_vmgroup.nodes.node import Node
from lava_vmgroup.nodes.room import refuse_in_memory
from lava_vmgroup.nodes.shared import Shared
from lava_vmgroup.nodes.vm_kernel import check_kernel, fitting_tree, with_right_root
from lava_vmgroup.nodes.vm_plan import Deployed, VMPlan, qemu_ended
from lava_vmgroup.vms.accelerator import UNKNOWN_ACCELERATOR, Accelerator, HostFacts
from lava_vmgroup.vms.folder import LAUNCH, OVERLAY, VMFolder, launch_program
from lava_vmgroup.vms.heartbeat import Heartbeat
from lava_vmgroup.vms.host import VMHost
from lava_vmgroup.vms.images import StoredFile, stored
from lava_vmgroup.vms.introduction import OFFER_ID, Hello, Offer, hello_id
from lava_vmgroup.vms.network import HOOK
from lava_vmgroup.vms.overlay_disk import OverlayDisk, StoredTar, refuse_large
from lava_vmgroup.vms.qemu import Machine, argv, argv_around

_NETWORK_S = 30.0


class VMNode(Node):
    """One virtual machine: its files on the host, its QEMU, its console."""

    def __init__(self, job: NodeJob, name: str, shared: Shared, token: CancelToken) -> None:
        super().__init__(job, name, shared, token, config_of(job, shared.lab))
        self._link: SshLink | None = None
        self._deployed: Deployed | None = None
        self._console: Console | None = None
        self._folder: VMFolder | None = None
        self._records_read = 0
        self._host: VMHost | None = None
        self._heartbeat: Heartbeat | None = None

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
        link = self._reach_host(deadline)
        cargo = Cargo(
            files=(prepared.disk, kernel, initrd, *flash),
            layer=image.stat().st_size,
            wants_firmware=not flash and kernel is None,
            kernel=kernel,
        )
        self._check_host(cargo, link, deadline)
        self._stop(deadline)
        append, root = prepared.append, self._settings.root_part or prepared.partition
        if append is None:
            arguments = self.config.kernel_arguments("boot_cmds")
            append = arguments.replace(self.config.root_device, f"/dev/vda{root or ''}")
        self._deployed = Deployed(
            disk=self._store(prepared.disk, link, deadline),
            disk_size=image.stat().st_size,
            kernel=self._store(kernel, link, deadline),
            initrd=self._store(initrd, link, deadline),
            append=append if kernel else "",
            layout=prepared.layout if kernel else None,
            root=root,
            pflash=self._store_all(flash, link, deadline),
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
        link = self._reach_host(deadline)
        cargo = Cargo(
            files=(*given.values(), *flash),
            layer=disk_size,
            wants_firmware=not (files.kernel or files.firmware or flash),
            kernel=given.get("kernel"),
        )
        self._check_host(cargo, link, deadline)
        self._stop(deadline)
        remote = {name: self._store(file, link, deadline) for name, file in given.items()}
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
            pflash=self._store_all(flash, link, deadline),
        )

    def boot(self, deadline: Deadline, settings: BootSettings = DEFAULT_BOOT) -> None:
        """Launch the VM on the host and bring the guest to a shell on its console."""
        config = settings.over(self.config)
        link = self._reach_host(deadline)
        deployed = self._deployed
        if deployed is None:
            if not self.job.launch_with:
                raise JobError(
                    "there is nothing to boot on this VM",
                    hint=f"give role {self.job.role!r} a deploy action, or the VM an image",
                )
            self._check_host(Cargo(), link, deadline)
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
        self._console = self._launch(deployed, link, deadline)
        prompts = (self.job.shell_prompt,) if self.job.shell_prompt else ()
        limit = deadline.sub("the VM's shell prompt", config.boot_linaro_timeout)
        try:
            login = login_of(config, *prompts)
            reach_shell(self._console, login, limit, silence_s=self.watch.silence_s)
            self._shell = Shell.prepare(self._console, limit)
        except InfrastructureError as error:
            if deadline.is_over:
                raise
            raise self._explained(error) from error
        self.watch.came_up(self._shell, deadline)
        if not self.job.launch_with:
            self.watch.ask_of_resets(lambda: False)  # QEMU ends instead: -no-reboot
        self._join_network(self._shell, deadline)

    def expect_tests(self, carried: int, placed: int) -> None:
        """See `Node.expect_tests`."""
        refuse_large(carried)
        deployed = self._deployed
        if deployed is None or self.job.launch_with or self.config.qemu_options:
            return  # it may have disks that nothing here knows of
        if deployed.kernel and not deployed.disk and "nfs" not in deployed.append:
            refuse_in_memory(placed, deployed.initrd_size, self.config.qemu_memory)

    def unpack(
        self, archive: bytes, directory: str, deadline: Deadline, trees: Sequence[StoredFile] = ()
    ) -> None:
        """See `Node.unpack`."""
        disk, link = self._overlay, self._link
        assert link is not None, "a booted VM has its link to the host"
        if not disk.is_found(deadline):
            disk.type(archive, directory, [tree.path for tree in trees], deadline)
            return
        paths = self._store_all(trees, link, deadline)
        sizes = [tree.path.stat().st_size for tree in trees]
        disk.unpack(archive, directory, [*map(StoredTar, paths, sizes)], deadline)

    def collect(self, directory: str, deadline: Deadline) -> bytes:
        """See `Node.collect`."""
        return self._overlay.collect(directory, deadline)

    @contextmanager
    def records(self, deadline: Deadline) -> Iterator[ByteStream]:
        """See `Node.records`: what the guest writes to its port."""
        assert self._folder is not None, "a booted VM has its folder"
        stream = self._folder.records(self._records_read, deadline)
        try:
            yield stream
        finally:
            stream.close()
            self._records_read = stream.position

    def close(self) -> None:
        """Stop QEMU, remove the VM's folder, and tell the group that this VM is gone."""
        self.watch.stop()
        try:
            self._stop(self.shared.cleanup("stopping the VM"))
        except VMGroupError as error:
            self.log.warning("cleanup", f"the VM could not be removed from the host: {error}")
        if self._heartbeat is not None:
            self._heartbeat.stop(leaving=self._folder is None)
        if self._link is not None:
            self._link.close()
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

    @property
    def _on(self) -> VMHost:
        """The host, once it has been reached."""
        assert self._host is not None, "a VM that has its link has its host"
        return self._host

    @property
    def _plan(self) -> VMPlan:
        return VMPlan(job=self.job, name=self.name, config=self.config, host=self._on)

    @property
    def _overlay(self) -> OverlayDisk:
        assert self._link is not None, "a booted VM has its link to the host"
        return OverlayDisk(f"{self._plan.folder}/{OVERLAY}", self._link, self.shell, self.log)

    def _reach_host(self, deadline: Deadline) -> SshLink:
        """The VM's own connection to the host, as soon as the host says that VMs may start."""
        if self._link is None:
            self.log.event("state", "waiting for the host", state="waiting for the host")
            self._host = self._meet_host(deadline)
            self._link = self._host.dial(deadline)
            if not self.shared.runs_host:
                self._heartbeat = self._host.heartbeat(self.name, self.host_is_lost, deadline)
        return self._link

    def _check_host(self, cargo: Cargo, link: SshLink, deadline: Deadline) -> None:
        """Refuse a host that cannot carry the VM before anything is sent there."""
        host, job = self._on, self.job
        facts = host.facts(link, deadline)
        check_requires(job, self.shared.lab, facts)
        try:
            check_host(job, self.config, self.shared, host, cargo, link, self.log, deadline)
        except Unfit as error:
            if not job.optional:
                raise
            raise NodeSkipped(error.message, hint=error.hint) from error
        # Starting QEMU takes a slow host a while, in which the others may upload.
        kind = f"{job.device_type} {job.accelerator.value}"
        if not job.launch_with and (job.skips_without_qemu or host.is_first(kind)):
            self._accelerator(facts, link, deadline)

    def _accelerator(self, facts: HostFacts, link: SshLink, deadline: Deadline) -> Accelerator:
        """Choose how QEMU runs the VM on this host.

        Raises `Unfit`, or `NodeSkipped` if the job goes on without the VM.
        """
        guest = guest_of(self.job, self.config, facts)
        try:
            return self._on.accelerator(guest, link, self.log, deadline)
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

    def _store(self, file: StoredFile | None, link: SshLink, deadline: Deadline) -> str | None:
        if file is None:
            return None
        return self._on.store.put(file.path, file.digest, link, self.log, deadline)

    def _store_all(
        self, files: Sequence[StoredFile], link: SshLink, deadline: Deadline
    ) -> tuple[str, ...]:
        paths = (self._store(file, link, deadline) for file in files)
        return tuple(path for path in paths if path is not None)

    def _launch(self, deployed: Deployed, link: SshLink, deadline: Deadline) -> Console:
        """Start the VM in a folder of its own; gives its console."""
        self._folder = VMFolder(self.name, self._on.supervisor, link)
        self._records_read = 0
        machine = self._describe(deployed, link, deadline)
        programs = {} if self._plan.port is None else {HOOK: self._plan.port.hook}
        if self.job.launch_with and machine is not None:
            programs[LAUNCH] = launch_program(*argv_around(machine))
        self._folder.make(programs, deadline)
        self._folder.add_flash(deployed.pflash, deadline)
        if deployed.disk is not None:
            self._folder.add_layer(deployed.disk, deployed.disk_size, self.shared.work, deadline)
        if self.job.launch_with:
            self.log.event("state", "booting by launch_with", state="booting")
            self.attributes["accelerator"] = UNKNOWN_ACCELERATOR
            limit = deadline.sub("launch_with", self.config.boot_linaro_timeout)
            environment = self._plan.environment(deployed, can_launch=machine is not None)
            stream = self._folder.start_by(self.job.launch_with, environment, limit)
        else:
            assert machine is not None, "without launch_with there is a machine to describe"
            self.log.event("state", f"booting under {machine.accelerator.name}", state="booting")
            stream = self._folder.start(argv(machine), deadline, disk_bytes=deployed.disk_size)
        delay_s = self.config.typing_delay_s("test_shell")
        return Console(
            stream, self.console_log, typing_delay_s=delay_s, watch=self.watch
        ).__enter__()

    def _describe(self, deployed: Deployed, link: SshLink, deadline: Deadline) -> Machine | None:
        """The machine to launch, with the accelerator that the host really has.

        None for a VM that the job launches itself, on a host without the QEMU for it.
        """
        config, host = self.config, self._on
        facts = host.facts(link, deadline)
        try:
            accelerator = self._accelerator(facts, link, deadline)
        except (InfrastructureError, NodeSkipped) as error:
            if not self.job.launch_with:
                raise
            self.log.warning("accelerator", f"launch_with has no $LAVA_VM_LAUNCH: {error.message}")
            return None
        cpus = host.reserve(self.name, config.qemu_memory, config.qemu_host_cpus, link, deadline)
        if not self.job.launch_with:
            self.attributes.update(accelerator.attributes)
        guest = guest_of(self.job, config, facts)
        return self._plan.machine(deployed, guest, accelerator, facts, cpus)

    def _join_network(self, shell: Shell, deadline: Deadline) -> None:
        """Give the guest its address; one that cannot take it goes without, which is said."""
        port = self._plan.port
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
        if self._console is not None:
            self._console.close()
        self._console = self._shell = None
        if self.shared.host_loss is not None:
            raise self.shared.host_loss
        if self._folder is not None:
            self._folder.remove(deadline)
            self._folder = None

    def _explained(self, error: InfrastructureError) -> InfrastructureError:
        """A console that closed early, explained by what QEMU said."""
        if error is self.shared.host_loss or self._folder is None:
            return error
        said = self._folder.complaints(self.shared.cleanup("reading QEMU's messages"))
        return qemu_ended(said, self.config) if said else error
