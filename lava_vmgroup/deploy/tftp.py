# SPDX-License-Identifier: MIT
"""The files that a board boots over the network, put into the TFTP server's folder."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from lava_vmgroup.base import tars
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import ConfigurationError, JobError
from lava_vmgroup.config import commands
from lava_vmgroup.config.boot_keys import LoadAddresses
from lava_vmgroup.config.commands import BootCommand
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.connections.process import run_configured
from lava_vmgroup.deploy import uimage
from lava_vmgroup.deploy.kernels import boot_word
from lava_vmgroup.deploy.layers import damage_reported, decompressed
from lava_vmgroup.deploy.unpack import MAX_UNPACKED, is_inside, limited

_TAGGED = ("kernel", "ramdisk", "dtb", "bootloader")
"""The files that a boot loader may fetch."""
_NO_ADDRESSES = LoadAddresses(kernel="-", ramdisk="-", dtb="-")
_MAX_LOADED = 1 << 30
"""Limit of bytes of a file that a board loads into its memory."""
_MAX_FILES = 1_000_000
"""More than any root file system has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelFiles:
    """The parts of a ``deploy_linaro_kernel``, as files on the dispatcher."""

    kernel: Path | None = None
    """None only for a virtual machine, which then boots by its firmware."""
    ramdisk: Path | None = None
    dtb: Path | None = None
    dtbos: tuple[Path, ...] = ()
    """Overlays of a host's device tree, in the order in which they are applied."""
    rootfs: Path | None = None
    """A disk image with the root file system; virtual machines only."""
    nfsrootfs: Path | None = None
    """An archive of the root file system, which the host mounts from the dispatcher."""
    nfs_overlays: tuple[Path, ...] = ()
    """Archives to unpack over `nfsrootfs`."""
    firmware: Path | None = None
    pflash: tuple[Path, ...] = ()
    """Contents of a virtual machine's flash memories."""
    bootloader: Path | None = None
    """A board's boot loader; with the others below, the firmware of a Versatile Express."""
    bl0: Path | None = None
    bl1: Path | None = None
    bl2: Path | None = None
    bl31: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The names of the offered files in boot commands; "" for files that the job lacks."""

    kernel: str = ""
    ramdisk: str = ""
    dtb: str = ""
    dtbos: tuple[str, ...] = ()
    bootloader: str = ""
    nfsrootfs: str = ""
    """The absolute path of the exported folder."""
    boot_word: str = "bootz"

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files that the boot loader fetches."""
        names = (getattr(self, name) for name in _TAGGED)
        return (*filter(None, names), *self.dtbos)

    def filled_in(
        self, lines: Sequence[BootCommand], config: DeviceConfig, tags: Mapping[str, str]
    ) -> tuple[BootCommand, ...]:
        """Return boot commands with these `tags`, and those of the files, filled in.

        Raises ConfigurationError for a tag that there is not, and if the job has overlays of the
        device tree, and no command applies them.
        """
        apply = commands.parse_list(config.apply_dtbo_cmds, config.place("apply_dtbo_cmds"))
        whole = commands.repeated(lines, "APPLY_DTBO_COMMANDS", apply, "DTBO", self.dtbos)
        if self.dtbos and whole == tuple(lines):
            raise ConfigurationError(
                f"device {config.hostname} applies no overlays of the device tree",
                hint="put {APPLY_DTBO_COMMANDS} into its boot commands",
            )
        if self.dtbos and (self._addresses(config) or _NO_ADDRESSES).dtbo == "-":
            raise ConfigurationError(
                f"device {config.hostname} has no load address for overlays of the device tree",
                hint="give its load addresses a fourth one",
            )
        return commands.substitute(whole, {**tags, **self.tags(config)})

    def tags(self, config: DeviceConfig) -> dict[str, str]:
        """Return the tags for boot commands: the files, the addresses, and ``BOOTX``."""
        tags = {name.upper(): getattr(self, name) for name in (*_TAGGED, "nfsrootfs")}
        if (addresses := self._addresses(config)) is not None:
            tags["KERNEL_ADDR"] = addresses.kernel
            tags["RAMDISK_ADDR"] = addresses.ramdisk
            tags["INITRD_ADDR"] = addresses.ramdisk if self.ramdisk else "-"
            tags["DTB_ADDR"] = addresses.dtb
            tags["DTB_BASE_ADDR"] = addresses.dtb if self.dtbos else ""
            tags["DTBO_ADDR"] = addresses.dtbo if self.dtbos else ""
        tags["DTB_BASE_RESIZE"] = config.dtb_base_resize if self.dtbos else ""
        words = [self.boot_word, "${kernel_addr_r}"]
        if self.ramdisk and not config.ramdisk_raw:
            words.append("${initrd_addr_r}")
        elif self.ramdisk or self.dtb:
            words.append("-")
        if self.dtb:
            words.append("${fdt_addr_r}")
        return {**tags, "BOOTCOMMAND": self.boot_word, "BOOTX": " ".join(words)}

    def _addresses(self, config: DeviceConfig) -> LoadAddresses | None:
        others = config.z_load_addrs or config.u_load_addrs
        match self.boot_word:
            case "bootm":
                return config.u_load_addrs or others
            case "booti":
                return config.i_load_addrs or others
        return others


@contextmanager
def offered(
    files: KernelFiles, config: DeviceConfig, root: Path, job: str, deadline: Deadline
) -> Iterator[Served]:
    """Offer `files` during the block, in the formats that the board boots; then remove them.

    They are below the TFTP server's folder: `root`, or the device's ``alternative_dir``.  Their
    names begin with `job`.  Raises `ConfigurationError` if the folder cannot be written.
    """
    root = root if config.use_lava_tmpdir else config.alternative_dir or root
    prefix = f"{job}/" if config.use_lava_tmpdir or config.alternative_create_tmpdir else f"{job}-"
    names = [*_TAGGED, *_overlays(files), "nfsrootfs"]
    mine = [root / f"{prefix}{name}" for name in names]
    try:
        try:
            mine[0].parent.mkdir(parents=True, exist_ok=True)
            offer = _copy(files, root, prefix)
        except OSError as error:
            raise ConfigurationError(
                f"cannot write the TFTP folder {root}: {error.strerror}",
                hint="check LAVA_IMAGE_TMPDIR in lava-dispatcher.conf",
            ) from error
        offer = _made_bootable(offer, root, config)
        if files.nfsrootfs is not None:
            offer = replace(offer, nfsrootfs=str(mine[-1]))
            for archive in (files.nfsrootfs, *files.nfs_overlays):
                _unpack(archive, mine[-1], deadline)
        yield offer
    finally:
        for path in mine[:-1]:
            path.unlink(missing_ok=True)
        shutil.rmtree(mine[-1], ignore_errors=True)
        if prefix.endswith("/"):
            shutil.rmtree(root / prefix, ignore_errors=True)


def _copy(files: KernelFiles, root: Path, prefix: str) -> Served:
    names = {}
    for name in _TAGGED:
        source: Path | None = getattr(files, name)
        if source is not None:
            shutil.copyfile(source, root / f"{prefix}{name}")
            names[name] = f"{prefix}{name}"
    overlays = [f"{prefix}{name}" for name in _overlays(files)]
    for source, name in zip(files.dtbos, overlays, strict=True):
        shutil.copyfile(source, root / name)
    return Served(dtbos=tuple(overlays), **names)


def _overlays(files: KernelFiles) -> list[str]:
    return [f"dtbo{number}" for number, _ in enumerate(files.dtbos)]


def _unpack(archive: Path, folder: Path, deadline: Deadline) -> None:
    """Unpack a root file system; if this process runs as root, the files keep their owners."""
    folder.mkdir(exist_ok=True)
    _check_members(archive, folder, deadline)
    command = ["tar", "--numeric-owner", "-xpf", str(archive), "-C", str(folder)]
    run_configured(shlex.join(command), "unpacking nfsrootfs", deadline)


def _check_members(archive: Path, folder: Path, deadline: Deadline) -> None:
    """Raise `JobError` if tar would unpack a member of the archive outside of `folder`.

    That happens if an archive before it left a link to another folder there.
    """
    with (
        damage_reported(archive.name),
        archive.open("rb", buffering=0) as file,
        decompressed(file, deadline) as stream,
        tars.opened(limited(stream, archive.name, MAX_UNPACKED), "r|") as tar,
    ):
        for member in tars.members(tar, _MAX_FILES):
            deadline.check()
            path = folder.joinpath(member.name.lstrip("/"))
            there = (path if path == folder else path.parent).resolve()
            if not is_inside(member.name.lstrip("/")) or not there.is_relative_to(folder.resolve()):
                raise JobError(
                    f"{archive.name} has a member outside its own folder: {member.name!r}",
                    hint="does a link in the archive before it lead there?",
                )


def _made_bootable(offer: Served, root: Path, config: DeviceConfig) -> Served:
    """Convert the copies as the device's configuration demands, and return the changed offer."""
    kernel = root / offer.kernel
    data = _content(kernel)
    if config.prepend_blob:
        data = _blob(config).read_bytes() + data
    if config.append_dtb and offer.dtb:
        data += _content(root / offer.dtb)
        offer = replace(offer, dtb="")
    word = boot_word(data)
    architecture = "arm64" if word == "booti" else config.uimage_arch
    if architecture not in uimage.ARCHITECTURES:
        raise ConfigurationError(
            f"{config.place('uimage_arch')}: {architecture!r} is no architecture of U-Boot's",
            hint=f"known: {', '.join(uimage.ARCHITECTURES)}",
        )
    if config.multi_image_only and offer.ramdisk and word != "bootm":
        data = uimage.join([data, _content(root / offer.ramdisk)])
        data = _wrapped(data, uimage.MULTI, architecture, config)
        offer, word = replace(offer, ramdisk=""), "bootm"
    elif (config.uimage_only or config.multi_image_only) and word != "bootm":
        kind = uimage.KERNEL_NOLOAD if config.uimage_xip else uimage.KERNEL
        data, word = _wrapped(data, kind, architecture, config), "bootm"
    kernel.write_bytes(data)
    if offer.ramdisk and not config.ramdisk_raw:
        _give_header(root / offer.ramdisk, architecture)
    return replace(offer, boot_word=word)


def _wrapped(data: bytes, kind: int, architecture: str, config: DeviceConfig) -> bytes:
    """Return a kernel behind U-Boot's header; one that runs in place starts behind the header."""
    if config.u_load_addrs is None and not config.text_offset:
        raise ConfigurationError(
            f"device {config.hostname} wants a uImage, but nothing says where it is loaded",
            hint="set u_load_addrs or text_offset",
        )
    load = config.text_offset or (config.u_load_addrs.kernel if config.u_load_addrs else "")
    try:
        address = int(load, 16)
    except ValueError:
        raise ConfigurationError(
            f"{config.place('text_offset')}: expected a hexadecimal address, not {load!r}",
            hint="write it like 0x40008000",
        ) from None
    entry = address + uimage.HEADER_SIZE if config.uimage_xip else address
    return uimage.wrap(data, kind, architecture, load=entry, entry=entry)


def _give_header(ramdisk: Path, architecture: str) -> None:
    data = _content(ramdisk)
    if not uimage.is_legacy(data):
        ramdisk.write_bytes(uimage.wrap(data, uimage.RAMDISK, architecture))


def _content(path: Path) -> bytes:
    if path.stat().st_size > _MAX_LOADED:
        raise JobError(f"the {path.name} has more than {_MAX_LOADED >> 20} MiB")
    return path.read_bytes()


def _blob(config: DeviceConfig) -> Path:
    path = Path(config.prepend_blob)
    if not path.is_file():
        raise ConfigurationError(
            f"{config.place('prepend_blob')}: there is no file {path}", hint="correct it there"
        )
    return path
