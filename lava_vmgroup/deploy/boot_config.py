# SPDX-License-Identifier: MIT
"""The kernel inside a disk image, found without root and without a mount.

A VM boots much quicker, and on more hosts, from its kernel than through firmware.  If the image has
the configuration of a boot loader, that names the kernel; otherwise the kernel has the name that
Debian gives it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.deploy.boot_entries import (
    BootEntry,
    Menu,
    boot_loader_specification,
    extlinux,
)
from lava_vmgroup.deploy.filesystems import FileSystem
from lava_vmgroup.deploy.grub_config import (
    default_of,
    grub,
    reads_entries,
    sourced,
    variables_after,
)
from lava_vmgroup.deploy.grub_variables import GrubVariables
from lava_vmgroup.deploy.root_device import Layout, layout_of
from lava_vmgroup.deploy.unpack import Unpack, Unpacking, unpack, wants_unpacking

_CONFIG_LIMIT = 1 << 20
_MAX_ENTRIES = 100
_EXTLINUX = ("/extlinux/extlinux.conf", "/boot/extlinux/extlinux.conf")
_ENTRIES = ("/loader/entries", "/boot/loader/entries")
_LOADER = "../loader.conf"
_GRUB = (
    *("/boot/grub/grub.cfg", "/grub/grub.cfg", "/boot/grub2/grub.cfg", "/grub2/grub.cfg"),
    "/EFI/BOOT/grub.cfg",
)
_DEBIAN = (("/boot/vmlinuz", "/boot/initrd.img"), ("/vmlinuz", "/initrd.img"))


@dataclass(frozen=True, slots=True, kw_only=True)
class BootFiles:
    """The files that an image boots, copied out of it."""

    kernel: Path
    initrd: Path | None
    append: str | None
    """The kernel's command line; None if the image does not contain it."""
    partition: int
    """The number of the partition with the system; 0 when the image has no partitions."""
    warnings: tuple[str, ...] = ()
    """Messages about skipped parts of the image, such as entries that cannot be booted."""


def extract_boot_files(
    image: Path,
    folder: Path,
    deadline: Deadline,
    layout: Layout | None = None,
    architecture: str | None = None,
) -> BootFiles | None:
    """Copy kernel and initrd of the image's default boot entry into `folder`, and return them.

    If files of an entry are missing, takes the next entry.  Entries for another `architecture` than
    the VM's are left out; None takes all.  Returns None if the image has no boot configuration that
    this module supports.  Raises `JobError` if a boot loader has entries and none can be booted.
    """
    layout = layout or layout_of(image, deadline)
    for volume in layout.volumes:
        files = volume.files
        if files is None:
            continue
        found = _configured(image, files, architecture) or _by_names(files)
        if found is None:
            continue
        kernel, initrds, append, warnings = found
        if append is None and not layout.has_init and layout.unreadable:
            warnings.append(f"no init was found; partition {layout.unreadable} cannot be read")
        written = _written(folder / "kernel", [kernel])
        return BootFiles(
            kernel=_plain(written, image.name, folder, deadline, warnings),
            initrd=_written(folder / "initrd", initrds) if initrds else None,
            append=append,
            partition=(layout.root(volume.number) or volume).number,
            warnings=tuple(warnings),
        )
    return None


_Found = tuple[bytes, list[bytes], str | None, list[str]]


def _configured(image: Path, files: FileSystem, architecture: str | None) -> _Found | None:
    """Return kernel, ramdisks and command line of the first entry whose files are there."""
    for path, menu in _menus(files, architecture):
        entries = [entry for entry in menu.in_order() if entry.kernel]
        if not entries:
            continue
        warnings = [f"{path}: {warning}" for warning in menu.warnings]
        if menu.default is not None and entries[0].name != menu.default:
            warnings.append(f"{path}: the default entry, {menu.default!r}, has no kernel")
        for entry in entries:
            contents = [_content(files, path, name) for name in (entry.kernel, *entry.initrds)]
            kernel, *initrds = (content or b"" for content in contents)
            if all(contents):
                warnings += [f"{path}: {warning}" for warning in entry.warnings]
                return kernel, initrds, entry.append, warnings
            warnings.append(f"{path}: {_missing(entry, contents)}")
        raise JobError(f"{image.name} has nothing to boot: {'; '.join(warnings)}")
    return None


def _missing(entry: BootEntry, contents: list[bytes | None]) -> str:
    names = zip((entry.kernel, *entry.initrds), contents, strict=True)
    absent = ", ".join(repr(name) for name, content in names if not content)
    return f"entry {entry.name!r} boots {absent}, which is not in it"


def _menus(files: FileSystem, architecture: str | None) -> Iterator[tuple[str, Menu]]:
    """Yield the configuration files of boot loaders, with their paths."""
    for path in _EXTLINUX:
        if (text := _text(files, path)) is not None:
            yield path, extlinux(text, _reader(files, path))
    for folder in _ENTRIES:
        if (texts := _entry_texts(files, folder)) and _are_read(files, folder):
            saved, config = _grub_variables(files), _grub_config(files)
            default = _grub_default(config, saved) or _loader_default(files, folder)
            variables = variables_after(config or "", saved)
            yield (
                f"{folder}/",
                boot_loader_specification(texts, default, variables, architecture),
            )
    for path in _GRUB:
        if (text := _text(files, path)) is not None:
            menu = grub(text, _grub_variables(files))
            menu.warnings += [
                f"it reads {name}, too, which is not looked at"
                for name in sourced(text, str(PurePosixPath(path).parent))
                if files.read(name)
            ]
            yield path, menu


def _reader(files: FileSystem, config: str) -> Callable[[str], str | None]:
    return lambda name: _text(files, _absolute(config, name))


def _entry_texts(files: FileSystem, folder: str) -> dict[str, str]:
    names = [name for name in files.names(folder) if name.endswith(".conf")][:_MAX_ENTRIES]
    texts = {name.removesuffix(".conf"): _text(files, f"{folder}/{name}") for name in names}
    return {name: text for name, text in texts.items() if text is not None}


def _are_read(files: FileSystem, folder: str) -> bool:
    """Return whether a boot loader reads the entries in a folder.

    GRUB does so only if its configuration has the command ``blscfg``; systemd-boot, whose own
    configuration is beside the folder, always does.
    """
    texts = [text for path in _GRUB if (text := _text(files, path)) is not None]
    loader = files.read(posixpath.normpath(f"{folder}/{_LOADER}")) is not None
    return loader or not texts or any(map(reads_entries, texts))


def _loader_default(files: FileSystem, folder: str) -> str:
    text = _text(files, posixpath.normpath(f"{folder}/{_LOADER}")) or ""
    lines = [line.split(None, 1) for line in text.splitlines()]
    return next((line[1] for line in lines if line[:1] == ["default"] and len(line) > 1), "")


def _grub_variables(files: FileSystem) -> GrubVariables:
    texts = (_text(files, str(PurePosixPath(path).with_name("grubenv"))) for path in _GRUB)
    return GrubVariables.of_grubenv(next((text for text in texts if text is not None), ""))


def _grub_config(files: FileSystem) -> str | None:
    texts = (_text(files, path) for path in _GRUB)
    return next((text for text in texts if text is not None), None)


def _grub_default(config: str | None, saved: GrubVariables) -> str:
    """Return the entry that GRUB boots by default, empty for the first one.

    Without a ``grub.cfg`` this is the entry that its environment saves.
    """
    values = saved.values
    return values.get("saved_entry", "") if config is None else default_of(config, values)


def _by_names(files: FileSystem) -> _Found | None:
    for kernel, initrd in _DEBIAN:
        if content := files.read(kernel):
            ramdisk = files.read(initrd)
            return content, [ramdisk] if ramdisk else [], None, []
    return None


def _absolute(config: str, name: str) -> str:
    """Return the path of a file that a configuration names."""
    return str(PurePosixPath(config).parent / name)


def _content(files: FileSystem, config: str, name: str) -> bytes | None:
    """Return the content of a file that a configuration names."""
    return files.read(_absolute(config, name))


def _text(files: FileSystem, path: str) -> str | None:
    """Return the text of a small file; None when there is none."""
    data = files.read(path)
    return data[:_CONFIG_LIMIT].decode(errors="replace") if data else None


def _written(target: Path, contents: list[bytes]) -> Path:
    """Write `contents` to `target` in a row, as the kernel accepts several ramdisks."""
    with target.open("wb") as file:
        for content in contents:
            file.write(bytes(-file.tell() % 4))
            file.write(content)
    return target


def _plain(kernel: Path, name: str, folder: Path, deadline: Deadline, warnings: list[str]) -> Path:
    """Return the kernel unpacked if it is packed: QEMU unpacks fewer formats than firmware does."""
    title = f"the kernel in {name}"
    if not wants_unpacking(kernel, title, Unpack.KERNEL, deadline):
        return kernel
    unpacking = Unpacking(
        name=title,
        deadline=deadline,
        tell=lambda *_: deadline.check(),
        warn=warnings.append,
    )
    return unpack(kernel, folder, unpacking)
