# SPDX-License-Identifier: MIT
"""The configuration's keys for a VM group: the way to its host, the host's folders, and its VMs.

They are written as in `lava_vmgroup.config.board_keys`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from pathlib import Path

from lava_vmgroup.config import typed
from lava_vmgroup.config.typed import Count, Port, Positive, RemoteFolder, ShellWords


class QemuArch(enum.Enum):
    """The architecture of a guest."""

    HOST = "host"
    """The host's own architecture."""
    AARCH32 = "aarch32"
    AARCH64 = "aarch64"
    X86_64 = "x86_64"


class QemuNetwork(enum.Enum):
    """A network that a VM has a card in."""

    USER = "user"
    """QEMU's own network for this VM alone: it has a DHCP server and leads out through the host."""
    GROUP = "group"
    """The network that the group's VMs share with each other and with the host."""


@dataclass(frozen=True, kw_only=True)
class HostKeys:
    """Hosts that are already up, and the way to a booted host."""

    dummy_driver: str = ""
    """The driver if ``client_type`` is ``dummy``: ``ssh``."""
    dummy_ssh_host: str = ""
    """LAVA's own name for ``ssh_host``, for a dummy ssh host. The ``ssh_`` keys below are the same
    for every host."""
    dummy_ssh_port: Port = 22
    """LAVA's own name for ``ssh_port``."""
    dummy_ssh_username: str = "root"
    """LAVA's own name for ``ssh_username``."""
    dummy_ssh_identity_file: Path | None = None
    """LAVA's own name for ``ssh_identity_file``."""
    ssh_host: str = field(default="", metadata=typed.refers("%(dummy_ssh_host)s"))
    """The address of sshd; without it, the address that the booted host reports."""
    ssh_port: Port = field(default=22, metadata=typed.refers("%(dummy_ssh_port)s"))
    """The port of sshd."""
    ssh_username: str = field(default="root", metadata=typed.refers("%(dummy_ssh_username)s"))
    """The user to log in by SSH."""
    ssh_identity_file: Path | None = field(
        default=None, metadata=typed.refers("%(dummy_ssh_identity_file)s")
    )
    """A private key that a host which is already up accepts."""

    ssh_known_hosts: tuple[Path, ...] = ()
    """Files with the host keys that are accepted, written as in ``~/.ssh/known_hosts``. A board's
    keys are read on its serial console instead."""
    vm_folder: RemoteFolder = "/lava-vm-images"
    """The folder on the host for all files of its VMs, which can be gigabytes."""
    vm_store_limit: Count = 0
    """MiB for the images kept in this folder for later jobs; 0 for three quarters of the disk."""
    host_heartbeat_timeout: Positive = 30
    """Seconds after which a host that has not heard the dispatcher ends all of the job, and after
    which the dispatcher gives up a host that does not answer."""


@dataclass(frozen=True, kw_only=True)
class VMKeys:
    """VMs."""

    qemu_arch: QemuArch = QemuArch.HOST
    """The guest's architecture; ``host`` is the host's own."""
    qemu_machine: str = ""
    """QEMU's machine; without it, the one that fits the architecture and the accelerator. A machine
    other than ``virt``, such as ``vexpress-a15``, needs a device tree from the job."""
    qemu_cpu: str = ""
    """QEMU's CPU; without it, the one that fits the architecture and the accelerator."""
    qemu_memory: Positive = 512
    """MiB of memory."""
    qemu_smp: Positive = 1
    """The number of CPUs."""
    qemu_console: str = ""
    """The guest kernel's name for its console; without it, the architecture's usual one."""
    qemu_binary: str = ""
    """The QEMU program to run on the host; without it, one that fits the guest is looked for. As in
    v1, ``taskset -c CPUS`` may stand in front of it."""
    qemu_options: ShellWords = ()
    """More options for QEMU. ``-machine``, ``-cpu``, ``-m`` and ``-smp``, as v1's files have them,
    set the keys above."""
    qemu_host_cpus: ShellWords = ()
    """CPUs of the host to pin VMs to: numbers, or ranges such as ``0-3``. Each VM gets the one of
    these that the fewest other VMs have. For hosts with CPUs of several kinds; without it, the
    host's scheduler chooses."""
    qemu_networks: tuple[QemuNetwork, ...] = (QemuNetwork.USER, QemuNetwork.GROUP)
    """A VM's networks, in the order of its cards: ``user`` (QEMU's own, with a DHCP server and a
    way out through the host) and ``group`` (shared with the group's other VMs and with the host).
    Empty for none."""
