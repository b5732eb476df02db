# SPDX-License-Identifier: MIT
"""A virtual machine on the host, as a node of the group."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from lava_vmgroup.cancel import CancelToken
from lava_vmgroup.config.device import DeviceConfig, QemuArch
from lava_vmgroup.config.inventory import load_vm_type
from lava_vmgroup.connections.ssh import SshLink
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.login import login_of, reach_shell
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.console.typed_files import unpack_typed
from lava_vmgroup.deadline import Deadline
from lava_vmgroup.deploy.tftp import KernelFiles
from lava_vmgroup.errors import InfrastructureError, JobError, VMGroupError
from lava_vmgroup.job.model import NodeJob
from lava_vmgroup.multinode.api import VM_START, VM_STOP
from lava_vmgroup.nodes.node import Node
from lava_vmgroup.nodes.shared import Shared
from lava_vmgroup.vms.accelerator import Accelerator, Arch, HostFacts
from lava_vmgroup.vms.host import FIRMWARE
from lava_vmgroup.vms.images import StoredFile, stored
from lava_vmgroup.vms.qemu import OVERLAY_SERIAL, Machine, argv

_TOOLS_S = 60.0
_TYPING_S = 300.0
_STOP_S = 10.0
_OVERLAY_SIZE = "32M"

# $0 is the VM's folder.  When that is gone already, the job has ended and nothing may start.
_LAUNCH = 'echo $$ >"$0/qemu.pid" && exec "$@" 2>"$0/qemu.err"'

# The number in qemu.pid may be another's by now: only a process that names the folder is ours.
_STOP = r"""
pid=$(cat "$0/qemu.pid" 2>/dev/null)
ours() { [ -n "$pid" ] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$0/"; }
signal() { kill "-$1" "-$pid" 2>/dev/null || kill "-$1" "$pid" 2>/dev/null; }
tries=0
while ours; do
    if [ "$tries" -lt 20 ]; then signal TERM; else signal KILL; fi
    [ "$tries" -lt 60 ] || exit 1
    tries=$((tries + 1))
    sleep 0.1
done
rm -rf "$0"
"""

_CONSOLES = {Arch.AARCH32: "ttyAMA0", Arch.AARCH64: "ttyAMA0", Arch.X86_64: "ttyS0"}

# The guest may have read the disk before, and the archive is all that it has to read of it.
_UNPACK = (
    "for d in /sys/block/*; do "
    'if [ "$(cat "$d/serial" 2>/dev/null)" = {serial} ]; then d=/dev/${{d##*/}}; '
    "blockdev --flushbufs $d 2>/dev/null; "
    "dd if=$d bs={record} count={records} 2>/dev/null | tar -xf - -C /; break; fi; done; "
    "[ -d {directory} ]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deployed:
    """What the next boot uses; paths on the host."""

    disk: str | None
    disk_size: int = 0
    kernel: str | None = None
    initrd: str | None = None
    dtb: str | None = None
    append: str = ""


class VMNode(Node):
    """One virtual machine: its files on the host, its QEMU, its console."""

    def __init__(self, job: NodeJob, name: str, shared: Shared, token: CancelToken) -> None:
        super().__init__(job, name, shared, token)
        self._config: DeviceConfig = load_vm_type(job.device_type, shared.search_path)
        self._link: SshLink | None = None
        self._deployed: _Deployed | None = None
        self._console: Console | None = None
        self._running = False
        self._give_memory_back: Callable[[], None] | None = None

    def deploy_image(self, image: Path, deadline: Deadline) -> None:
        """Put the image into the host's store, with the kernel that was found in it."""
        self.log.event("state", f"preparing {image.name}", state="preparing the image")
        prepared = self.shared.images.prepare(image, deadline)
        link = self._reach_host(deadline)
        self._stop(deadline)
        append = prepared.append
        if append is None:
            root = f"/dev/vda{prepared.partition or ''}"
            arguments = self._config.kernel_arguments("boot_cmds")
            append = arguments.replace(self._config.root_device, root)
        self._deployed = _Deployed(
            disk=self._store(prepared.disk, link, deadline),
            disk_size=image.stat().st_size,
            kernel=self._store(prepared.kernel, link, deadline),
            initrd=self._store(prepared.initrd, link, deadline),
            append=append,
        )

    def deploy_kernel(self, files: KernelFiles, deadline: Deadline) -> None:
        """Put the files into the host's store."""
        given = {
            name: stored(path, deadline)
            for name in ("kernel", "ramdisk", "dtb", "rootfs")
            if (path := getattr(files, name)) is not None
        }
        link = self._reach_host(deadline)
        self._stop(deadline)
        remote = {name: self._store(file, link, deadline) for name, file in given.items()}
        arguments = "boot_cmds" if files.rootfs else "boot_cmds_ramdisk"
        self._deployed = _Deployed(
            disk=remote.get("rootfs"),
            disk_size=files.rootfs.stat().st_size if files.rootfs else 0,
            kernel=remote["kernel"],
            initrd=remote.get("ramdisk"),
            dtb=remote.get("dtb"),
            append=self._config.kernel_arguments(arguments),
        )

    def boot(self, deadline: Deadline) -> None:
        """Launch QEMU on the host and bring the guest to a shell on its console."""
        link = self._reach_host(deadline)
        if self._deployed is None:
            raise JobError(
                "there is nothing to boot on this VM",
                hint=f"give role {self.job.role!r} a deploy action, or the VM an image",
            )
        self._stop(deadline)
        machine = self._describe(self._deployed, link, deadline)
        self._make_folder(self._deployed, link, deadline)
        self.log.event("state", f"booting under {machine.accelerator.name}", state="booting")
        self._running = True
        launch = ["sh", "-c", _LAUNCH, self._folder, *argv(machine)]
        self._console = Console(link.open_stream(launch, deadline), self.console_log).__enter__()
        prompts = (self.job.shell_prompt,) if self.job.shell_prompt else ()
        limit = deadline.sub("the VM's shell prompt", self._config.boot_linaro_timeout)
        try:
            reach_shell(self._console, login_of(self._config, *prompts), limit)
            self._shell = Shell.prepare(self._console, limit)
        except InfrastructureError as error:
            raise self._explained(error, link) from error

    def unpack(self, archive: bytes, directory: str, deadline: Deadline) -> None:
        """Write the archive to the VM's overlay disk, and have the guest unpack that.

        A guest that finds no such disk (a ramdisk without the driver) gets it by its console.
        """
        assert self._link is not None, "a booted VM has its link to the host"
        self._link.put_bytes(archive, f"{self._folder}/overlay.tar", deadline)
        command = _UNPACK.format(
            serial=OVERLAY_SERIAL,
            record=tarfile.RECORDSIZE,
            records=-(-len(archive) // tarfile.RECORDSIZE),
            directory=directory,
        )
        limit = deadline.sub("unpacking the tests", _TOOLS_S)
        status, _ = self.shell.run(command, limit)
        if status != 0:
            self.log.warning("overlay", "the guest sees no overlay disk: typing the tests, slowly")
            unpack_typed(self.shell, archive, deadline.sub("typing the tests", _TYPING_S))

    def close(self) -> None:
        """Stop QEMU, remove the VM's folder, and tell the group that this VM is gone."""
        try:
            self._stop(self.shared.cleanup("stopping the VM"))
        except VMGroupError as error:
            self.log.warning("cleanup", f"the VM could not be removed from the host: {error}")
        if self._link is not None:
            self._link.close()
        try:
            cleanup = self.shared.cleanup("telling the group that the VM is gone")
            self.client.with_token(CancelToken()).send(VM_STOP, {}, cleanup)
        except VMGroupError as error:
            self.log.warning("cleanup", f"the group does not know that this VM is gone: {error}")

    def finish(self, deadline: Deadline) -> None:
        """A VM owes nothing: its group learns that it is gone when it is."""

    def test_shell_ended(self, deadline: Deadline) -> None:
        """Nothing follows; the VM stays up for the next action."""

    def message_sent(self, message_id: str) -> None:
        """Only the host's messages matter to the host."""

    @property
    def _folder(self) -> str:
        return f"{self.shared.host.job_folder}/{self.name}"

    def _reach_host(self, deadline: Deadline) -> SshLink:
        """The VM's own connection to the host, as soon as the host says that VMs may start."""
        if self._link is None:
            self.log.event("state", "waiting for the host", state="waiting for the host")
            self.client.wait(VM_START, deadline)
            host = self.shared.host
            self._link = host.dial(deadline)
            if host.claims_look(self.job.device_type):
                self._accelerator(self._link, deadline)
        return self._link

    def _store(self, file: StoredFile | None, link: SshLink, deadline: Deadline) -> str | None:
        if file is None:
            return None
        return self.shared.host.store.put(file.path, file.digest, link, self.log, deadline)

    def _describe(self, deployed: _Deployed, link: SshLink, deadline: Deadline) -> Machine:
        """The machine to launch, with the accelerator that the host really has."""
        config, host = self._config, self.shared.host
        facts = host.facts(link, deadline)
        arch, kind = self._kind(facts)
        accelerator = self._accelerator(link, deadline)
        if self._give_memory_back is None:
            self._give_memory_back = host.reserve_memory(config.qemu_memory, facts)
        self.attributes["accelerator"] = accelerator.name
        self.attributes["qemu_binary"] = config.qemu_binary or accelerator.binary
        self.attributes["qemu_version"] = accelerator.version
        return Machine(
            name=self.name,
            machine=kind,
            memory_mib=config.qemu_memory,
            cpus=config.qemu_smp,
            accelerator=replace(
                accelerator,
                binary=config.qemu_binary or accelerator.binary,
                cpu=config.qemu_cpu or accelerator.cpu,
            ),
            disk=f"{self._folder}/disk.qcow2" if deployed.disk else None,
            overlay=f"{self._folder}/overlay.tar",
            kernel=deployed.kernel,
            initrd=deployed.initrd,
            dtb=deployed.dtb,
            append=_with_console(deployed.append, config.qemu_console or _CONSOLES[arch]),
            firmware=None if deployed.kernel else _firmware(arch, facts.firmware),
            host_cpus=host.host_cpus(self.name, config.qemu_host_cpus),
            options=config.qemu_options,
        )

    def _kind(self, facts: HostFacts) -> tuple[Arch, str]:
        """The guest's architecture and QEMU's machine type for it."""
        config = self._config
        arch = facts.arch if config.qemu_arch is QemuArch.HOST else Arch(config.qemu_arch.value)
        return arch, config.qemu_machine or ("q35" if arch is Arch.X86_64 else "virt")

    def _accelerator(self, link: SshLink, deadline: Deadline) -> Accelerator:
        host = self.shared.host
        arch, kind = self._kind(host.facts(link, deadline))
        return host.accelerator(arch, kind, link, self.log, deadline)

    def _make_folder(self, deployed: _Deployed, link: SshLink, deadline: Deadline) -> None:
        """The VM's own files: a copy-on-write layer over its image, room for the test shell."""
        folder = self._folder
        script = 'mkdir -p "$0" && truncate -s "$1" "$0/overlay.tar"'
        link.check_run(["sh", "-c", script, folder, _OVERLAY_SIZE], deadline)
        if deployed.disk is None:
            return
        layer = self.shared.work / f"{self.name}.qcow2"
        # Made here: qemu-img is not on every host that has QEMU.
        command = ["qemu-img", "create", "-q", "-f", "qcow2", "-u", "-F", "raw"]
        command += ["-b", deployed.disk, str(layer), str(deployed.disk_size)]
        try:
            subprocess.run(command, check=True, timeout=_TOOLS_S, capture_output=True)
        except FileNotFoundError as error:
            raise InfrastructureError(
                "the dispatcher has no qemu-img", hint="install the package qemu-utils"
            ) from error
        except subprocess.SubprocessError as error:
            raise InfrastructureError(f"qemu-img failed: {error}") from error
        link.put(layer, f"{folder}/disk.qcow2", deadline)

    def _stop(self, deadline: Deadline) -> None:
        """End the VM's QEMU on the host and remove the VM's folder there."""
        if self._console is not None:
            self._console.close()
        self._console = self._shell = None
        if self._running and self._link is not None:
            limit = deadline.sub("stopping QEMU", _STOP_S)
            self._link.check_run(["sh", "-c", _STOP, self._folder], limit)
        self._running = False
        if self._give_memory_back is not None:
            self._give_memory_back()
            self._give_memory_back = None

    def _explained(self, error: InfrastructureError, link: SshLink) -> InfrastructureError:
        """A console that closed early, explained by what QEMU said."""
        limit = self.shared.cleanup("reading QEMU's messages")
        said = link.run(["cat", f"{self._folder}/qemu.err"], limit).output.strip()
        if not said:
            return error
        return InfrastructureError(
            f"QEMU ended: {said.splitlines()[-1]}", last_lines=said.splitlines()
        )


def _with_console(append: str, console: str) -> str:
    """A kernel's command line that surely talks to the console we listen to."""
    return append if "console=" in append else f"{append} console={console}".strip()


def _firmware(arch: Arch, present: frozenset[str]) -> str | None:
    """The best firmware on the host for an image without a kernel of its own."""
    found = next((path for path in FIRMWARE[arch] if path in present), None)
    if found is None and FIRMWARE[arch]:
        raise InfrastructureError(
            "the image has no boot configuration that is understood, and the host has no firmware",
            hint=f"install one of {', '.join(FIRMWARE[arch])} on the host, "
            "or use deploy_linaro_kernel",
        )
    return found
