# SPDX-License-Identifier: MIT
"""What a virtual machine is made of, by its job, its type and its host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.config.device import DeviceConfig, QemuNetwork
from lava_vmgroup.deploy.root_device import Layout, last_console
from lava_vmgroup.job.model import NodeJob
from lava_vmgroup.vms.accelerator import Accelerator, Arch, Guest, HostFacts
from lava_vmgroup.vms.folder import CONSOLE, LAUNCH, LAYER, OVERLAY, RECORDS, flash_name
from lava_vmgroup.vms.host import VMHost
from lava_vmgroup.vms.network import Port, user_mac
from lava_vmgroup.vms.preflight import firmware_of
from lava_vmgroup.vms.qemu import STDIO, Machine, NetworkCard

_CONSOLES = {Arch.AARCH32: "ttyAMA0", Arch.AARCH64: "ttyAMA0", Arch.X86_64: "ttyS0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """What the next boot uses; paths on the host."""

    disk: str | None = None
    disk_size: int = 0
    kernel: str | None = None
    initrd: str | None = None
    initrd_size: int = 0
    dtb: str | None = None
    append: str = ""
    layout: Layout | None = None
    """The disk's, if it is known."""
    root: int | None = None
    """The number of the partition with the system, if it is known."""
    firmware: str | None = None
    pflash: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VMPlan:
    """How a VM is put together."""

    job: NodeJob
    name: str
    config: DeviceConfig
    host: VMHost

    @property
    def folder(self) -> str:
        """The VM's folder on the host."""
        return f"{self.host.job_folder}/{self.name}"

    @property
    def port(self) -> Port | None:
        """Where the VM is on the group's network, if it is there."""
        network = self.host.offer.network
        wanted = QemuNetwork.GROUP in self.config.qemu_networks
        return network.port(self.job.number) if network is not None and wanted else None

    def machine(
        self,
        deployed: Deployed,
        guest: Guest,
        accelerator: Accelerator,
        facts: HostFacts,
        cpus: str | None,
    ) -> Machine:
        """The machine to launch."""
        config = self.config
        return Machine(
            name=self.name,
            machine=guest.machine,
            memory_mib=config.qemu_memory,
            cpus=config.qemu_smp,
            accelerator=accelerator,
            # What a job launches itself is attached to as the job says.
            console=STDIO if self.job.launch_with else f"pipe,path={CONSOLE}",
            records=f"{self.folder}/{RECORDS}",
            disk=f"{self.folder}/{LAYER}" if deployed.disk else None,
            overlay=f"{self.folder}/{OVERLAY}",
            kernel=deployed.kernel,
            initrd=deployed.initrd,
            dtb=deployed.dtb,
            append=last_console(deployed.append, config.qemu_console or _CONSOLES[guest.arch]),
            firmware=self._firmware(deployed, guest.arch, facts),
            pflash=[f"{self.folder}/{flash_name(n)}" for n, _ in enumerate(deployed.pflash)],
            cards=self._cards(),
            host_cpus=cpus,
            options=config.qemu_options,
        )

    def environment(self, deployed: Deployed, *, can_launch: bool) -> dict[str, str]:
        """What launch_with's commands can refer to; empty is what there is not."""
        port = self.port
        return {
            "LAVA_VM_NAME": self.name,
            "LAVA_VM_DIR": self.folder,
            "LAVA_VM_LAUNCH": f"{self.folder}/{LAUNCH}" if can_launch else "",
            "LAVA_VM_DISK": f"{self.folder}/{LAYER}" if deployed.disk else "",
            "LAVA_VM_OVERLAY": f"{self.folder}/{OVERLAY}",
            "LAVA_VM_KERNEL": deployed.kernel or "",
            "LAVA_VM_INITRD": deployed.initrd or "",
            "LAVA_VM_DTB": deployed.dtb or "",
            "LAVA_VM_APPEND": deployed.append,
            "LAVA_VM_BRIDGE": port.bridge or "" if port else "",
            "LAVA_VM_MAC": port.mac if port else "",
            "LAVA_VM_IP": str(port.address.ip) if port else "",
        }

    def _firmware(self, deployed: Deployed, arch: Arch, facts: HostFacts) -> str | None:
        if deployed.firmware or deployed.kernel or deployed.pflash or self.job.launch_with:
            return deployed.firmware
        return firmware_of(arch, facts)

    def _cards(self) -> list[NetworkCard]:
        cards = []
        for network in self.config.qemu_networks:
            if network is QemuNetwork.USER:
                mac = user_mac(self.job.number)
                cards.append(NetworkCard(name="user", netdev="user", mac=mac))
            elif (port := self.port) is not None:
                netdev = port.netdev(self.folder)
                cards.append(NetworkCard(name="group", netdev=netdev, mac=port.mac))
        return cards


def qemu_ended(said: Sequence[str], config: DeviceConfig) -> InfrastructureError:
    """Return the error for a QEMU that ended with these last words."""
    own = config.qemu_options
    hint = f"are the options in {config.place('qemu_options')} right?" if own else None
    return InfrastructureError(f"QEMU ended: {said[-1]}", hint=hint, last_lines=said)
