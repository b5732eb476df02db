# SPDX-License-Identifier: MIT
"""VMs by QEMU, under KVM or emulated; and VMs that their job launches by commands of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, NodeSkipped, Unfit
from lava_vmgroup.config.group_keys import QemuArch, QemuNetwork
from lava_vmgroup.config.settings import BootSettings
from lava_vmgroup.connections.stream import ByteStream
from lava_vmgroup.deploy.root_device import layout_of
from lava_vmgroup.deploy.tftp import KernelFiles
from lava_vmgroup.vms.backends import Backend, VMSetup
from lava_vmgroup.vms.backends.qemu_accelerator import UNKNOWN_ACCELERATOR, Accelerator
from lava_vmgroup.vms.backends.qemu_command import Machine, argv, argv_around
from lava_vmgroup.vms.backends.qemu_examination import examine
from lava_vmgroup.vms.backends.qemu_fitness import check_host, guest_of
from lava_vmgroup.vms.backends.qemu_kernel import check_kernel, fitting_tree, with_right_root
from lava_vmgroup.vms.backends.qemu_plan import VMPlan, qemu_ended
from lava_vmgroup.vms.backends.qemu_probe import accelerator_of
from lava_vmgroup.vms.folder import LAUNCH, VMFolder, launch_program
from lava_vmgroup.vms.load import Deployed, Load
from lava_vmgroup.vms.network import HOOK
from lava_vmgroup.vms.reached import ReachedHost
from lava_vmgroup.vms.stored_file import stored


class Driver(Backend):
    """One VM of QEMU; see `Backend`."""

    examine = staticmethod(examine)

    def __init__(self, setup: VMSetup) -> None:
        super().__init__(setup)
        # QEMU is started with -no-reboot; the job's own commands may start another program.
        self.restarts = bool(setup.job.launch_with)

    @property
    def wants_network(self) -> bool:
        """See `Backend.wants_network`."""
        return QemuNetwork.GROUP in self.config.qemu_networks

    @property
    def memory_mib(self) -> int | None:
        """See `Backend.memory_mib`."""
        hides_disks = self.job.launch_with or self.config.qemu_options
        return None if hides_disks else self.config.qemu_memory

    def prepare_image(self, image: Path, pflash: Sequence[Path], deadline: Deadline) -> Load:
        """See `Backend.prepare_image`."""
        arch = self.config.qemu_arch
        architecture = None if arch is QemuArch.HOST else arch.value
        prepared = self.setup.images.prepare(image, deadline, architecture)
        for warning in prepared.warnings:
            self.log.warning("kernel", f"{image.name}: {warning}")
        flash = tuple(stored(path, deadline) for path in pflash)
        by_firmware = bool(flash) or self.settings.bootloadertype == "uefi"
        kernel, initrd = (None, None) if by_firmware else (prepared.kernel, prepared.initrd)
        if kernel is not None:
            fitting_tree(None, self.job, self.config, self.log)
            check_kernel(kernel.path, self.job, self.config, None, self.log)
        append, root = prepared.append, self.settings.root_part or prepared.partition
        if append is None:
            arguments = self.config.kernel_arguments("boot_cmds")
            append = arguments.replace(self.config.root_device, f"/dev/vda{root or ''}")
        return Load(
            disk=prepared.disk,
            disk_size=image.stat().st_size,
            kernel=kernel,
            initrd=initrd,
            append=append if kernel else "",
            layout=prepared.layout if kernel else None,
            root=root,
            pflash=flash,
        )

    def prepare_kernel(self, files: KernelFiles, deadline: Deadline) -> Load:
        """See `Backend.prepare_kernel`."""
        files = replace(files, dtb=fitting_tree(files.dtb, self.job, self.config, self.log))
        given = {
            name: stored(path, deadline)
            for name in ("kernel", "ramdisk", "dtb", "rootfs", "firmware")
            if (path := getattr(files, name)) is not None
        }
        layout = layout_of(files.rootfs, deadline) if files.rootfs else None
        root = layout.root() if layout else None
        if files.kernel is not None:
            check_kernel(files.kernel, self.job, self.config, None, self.log)
        return Load(
            disk=given.get("rootfs"),
            disk_size=files.rootfs.stat().st_size if files.rootfs else 0,
            kernel=given.get("kernel"),
            initrd=given.get("ramdisk"),
            dtb=given.get("dtb"),
            append=self.config.kernel_arguments(
                "boot_cmds" if files.rootfs else "boot_cmds_ramdisk"
            ),
            layout=layout if files.kernel else None,
            root=self.settings.root_part or (root.number if root else None),
            firmware=given.get("firmware"),
            pflash=tuple(stored(path, deadline) for path in files.pflash),
        )

    def fit(self, load: Load, at: ReachedHost, deadline: Deadline) -> None:
        """See `Backend.fit`."""
        job = self.job
        try:
            check_host(self.setup, self.config, load, at, deadline)
        except Unfit as error:
            if not job.optional:
                raise
            raise NodeSkipped(error.message, hint=error.hint) from error
        # Starting QEMU takes a slow host a while, in which the others may upload.
        kind = f"{job.device_type} {job.accelerator.value}"
        if not job.launch_with and (job.skips_without_qemu or at.host.is_first(kind)):
            self._accelerator(at, deadline)

    def choose(self, deployed: Deployed, settings: BootSettings) -> Deployed:
        """See `Backend.choose`."""
        if settings.chooses_commands:
            key = "boot_cmds" if deployed.disk else "boot_cmds_ramdisk"
            append = settings.over(self.config).kernel_arguments(key)
            deployed = replace(deployed, append=append)
        return with_right_root(deployed, self.job, self.log)

    def launch(
        self, folder: VMFolder, deployed: Deployed, at: ReachedHost, deadline: Deadline
    ) -> ByteStream:
        """See `Backend.launch`."""
        plan = VMPlan(job=self.job, config=self.config, folder=folder.path, port=self.port(at.host))
        machine = self._machine(plan, deployed, at, deadline)
        programs = {} if plan.port is None else {HOOK: plan.port.hook}
        if self.job.launch_with and machine is not None:
            programs[LAUNCH] = launch_program(*argv_around(machine))
        folder.make(programs, deadline)
        folder.add_flash(deployed.pflash, deadline)
        if deployed.disk is not None:
            folder.add_layer(deployed.disk, deployed.disk_size, self.setup.work, deadline)
        if machine is None or self.job.launch_with:
            self.log.event("state", "booting by launch_with", state="booting")
            self.setup.attributes["accelerator"] = UNKNOWN_ACCELERATOR
            limit = deadline.sub("launch_with", self.config.boot_linaro_timeout)
            environment = plan.environment(
                self.setup.name, deployed, can_launch=machine is not None
            )
            return folder.start_by(self.job.launch_with, environment, limit)
        self.log.event("state", f"booting under {machine.accelerator.name}", state="booting")
        return folder.start(argv(machine), deadline, disk_bytes=deployed.disk_size)

    def explained(
        self, error: InfrastructureError, folder: VMFolder, deadline: Deadline
    ) -> InfrastructureError:
        """See `Backend.explained`."""
        said = folder.complaints(deadline)
        return qemu_ended(said, self.config) if said else error

    def _accelerator(self, at: ReachedHost, deadline: Deadline) -> Accelerator:
        """Choose how QEMU runs the VM on this host.

        Raises `Unfit`, or `NodeSkipped` if the job goes on without the VM.
        """
        guest = guest_of(self.job, self.config, at.facts(deadline))
        try:
            return accelerator_of(guest, at, deadline)
        except Unfit as error:
            if not self.job.skips_without_qemu:
                raise
            raise NodeSkipped(error.message, hint=error.hint) from error

    def _machine(
        self, plan: VMPlan, deployed: Deployed, at: ReachedHost, deadline: Deadline
    ) -> Machine | None:
        """Return the machine to launch, with the accelerator that the host really has.

        None for a VM that the job launches itself, on a host without the QEMU for it.
        """
        config, facts = self.config, at.facts(deadline)
        try:
            accelerator = self._accelerator(at, deadline)
        except (InfrastructureError, NodeSkipped) as error:
            if not self.job.launch_with:
                raise
            self.log.warning("accelerator", f"launch_with has no $LAVA_VM_LAUNCH: {error.message}")
            return None
        cpus = at.host.reserve(
            self.setup.name, config.qemu_memory, config.qemu_host_cpus, at.link, deadline
        )
        if not self.job.launch_with:
            self.setup.attributes.update(accelerator.attributes)
        guest = guest_of(self.job, config, facts)
        machine = plan.machine(self.setup.name, deployed, guest, accelerator, facts)
        return replace(machine, host_cpus=cpus)
