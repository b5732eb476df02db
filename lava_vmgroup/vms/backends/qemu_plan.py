# SPDX-License-Identifier: MIT
"""The description of a VM's machine, from its job, its device type and its host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.group_keys import QemuNetwork
from lava_vmgroup.deploy.root_device import last_console
from lava_vmgroup.job.model import NodeJob
from lava_vmgroup.vms.backends.qemu_accelerator import Accelerator, Guest
from lava_vmgroup.vms.backends.qemu_command import STDIO, Machine, NetworkCard
from lava_vmgroup.vms.backends.qemu_preflight import firmware_of
from lava_vmgroup.vms.facts import Arch, HostFacts
from lava_vmgroup.vms.folder import CONSOLE, LAUNCH, LAYER, OVERLAY, RECORDS, flash_name
from lava_vmgroup.vms.load import Deployed
from lava_vmgroup.vms.network import Port, user_mac

_CONSOLES = {Arch.AARCH32: "ttyAMA0", Arch.AARCH64: "ttyAMA0", Arch.X86_64: "ttyS0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class VMPlan:
    """The parts from which a VM's machine is described."""

    job: NodeJob
    config: DeviceConfig
    folder: str
    """The VM's folder on the host."""
    port: Port | None
    """The VM's place on the group's network, if it has one."""

    def machine(
        self,
        name: str,
        deployed: Deployed,
        guest: Guest,
        accelerator: Accelerator,
        facts: HostFacts,
    ) -> Machine:
        """Return the machine to launch."""
        config = self.config
        return Machine(
            name=name,
            machine=guest.machine,
            memory_mib=config.qemu_memory,
            cpus=config.qemu_smp,
            accelerator=accelerator,
            # The job's own commands connect QEMU's input and output to the console.
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
            options=config.qemu_options,
        )

    def environment(self, name: str, deployed: Deployed, *, can_launch: bool) -> dict[str, str]:
        """Return the variables for the commands of ``launch_with``; "" for a missing part."""
        port = self.port
        return {
            "LAVA_VM_NAME": name,
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
