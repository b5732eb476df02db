#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds the disk images, kernel and ramdisk of the emulated board from Debian packages.

Nothing of the foreign architecture is executed and nothing of the machine is
changed. Images are kept under a key of recipe and package versions.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from imaging import filesystem, packages
from imaging.errors import BuildError, check_programs
from imaging.kernel import (
    Kernel,
    install_modules,
    keep_only_dependencies,
    quickly_unpacked,
    unpack_kernel,
)
from imaging.packages import PrivateApt, Resolved, Wanted

HERE = Path(__file__).resolve().parent
RECIPE = HERE / "recipe"
LINK = HERE / "images"
HOST_FREE = 1100 * 1024 * 1024
VM_FREE = 12 * 1024 * 1024
_started = time.monotonic()


def main() -> int:
    """Builds what is missing; the exit status is 1 when that fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--print-path", action="store_true", help="print the folder of the images")
    arguments = parser.parse_args()
    os.umask(0o022)
    try:
        check_programs()
        folder = provide_images(cache_folder())
        point_link_to(folder)
    except (BuildError, OSError) as error:
        print(f"build_images.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("build_images.py: interrupted", file=sys.stderr)
        return 130
    if arguments.print_path:
        print(folder)
    return 0


def report(text: str) -> None:
    """Progress, apart from what --print-path prints."""
    print(f"[{time.monotonic() - _started:5.1f}s] {text}", file=sys.stderr, flush=True)


def cache_folder() -> Path:
    """The folder of downloads and images."""
    chosen = os.environ.get("LAVA_VMGROUP_CACHE")
    return Path(chosen).absolute() if chosen else Path.home() / ".cache/lava-vmgroup"


def provide_images(cache: Path) -> Path:
    """The folder of the current images, built if necessary."""
    sources = {name: PrivateApt(cache / "apt" / name, wanted, report) for name, wanted in wants()}
    cache.mkdir(parents=True, exist_ok=True)
    with lock(cache / "build.lock"):
        resolved = {name: apt.resolve() for name, apt in sources.items()}
        folder = cache / "images" / key_of(resolved)
        if folder.exists():
            return folder
        for name, apt in sources.items():
            report(f"downloading packages for {name}")
            resolved[name] = apt.download(resolved[name])
        folder = cache / "images" / key_of(resolved)
        if not folder.exists():
            folder.parent.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".new-", dir=folder.parent) as temporary:
                Builder(Path(temporary), sources, resolved).build()
                (Path(temporary) / "out").rename(folder)
            report(f"built {folder}")
    return folder


def wants() -> list[tuple[str, Wanted]]:
    """The packages of the recipe, for each architecture."""
    provided = names_in("provided")
    arm64 = (*names_in("host/packages"), *names_in("master/packages"))
    host = Wanted(architecture="arm64", packages=arm64, provided=provided)
    vm = Wanted(
        architecture="armhf",
        packages=names_in("vm/packages"),
        provided=(*provided, *names_in("vm/provided")),
    )
    return [("arm64", host), ("armhf", vm)]


def names_in(recipe_file: str) -> tuple[str, ...]:
    """The lines of a list in the recipe, without its comments."""
    lines = (RECIPE / recipe_file).read_text().splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


def key_of(resolved: dict[str, Resolved]) -> str:
    """Changes with everything that goes into the images."""
    digest = hashlib.sha256()
    builder = [Path(__file__), *HERE.glob("imaging/*.py")]
    for path in sorted([*builder, *(path for path in RECIPE.rglob("*") if path.is_file())]):
        digest.update(f"{path.relative_to(HERE)}\0".encode() + path.read_bytes() + b"\0")
    versions = {name: part.versions for name, part in resolved.items()}
    digest.update(json.dumps(versions, sort_keys=True).encode())
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Keeps a second builder waiting; given up by the kernel if this one dies."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("waiting for another build to end")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def point_link_to(folder: Path) -> None:
    """Makes the link beside this file lead to the images."""
    if LINK.is_symlink() and LINK.readlink() == folder:
        return
    temporary = LINK.with_name(f".images-{os.getpid()}")
    temporary.symlink_to(folder)
    temporary.replace(LINK)


class Builder:
    """One build: root trees under `work`, the results in its folder `out`."""

    def __init__(
        self, work: Path, sources: dict[str, PrivateApt], resolved: dict[str, Resolved]
    ) -> None:
        self.work = work
        self.out = work / "out"
        self.sources = sources
        self.resolved = resolved

    def build(self) -> None:
        """Makes every file of the result."""
        self.out.mkdir()
        arm64, armhf = self._kernel("arm64"), self._kernel("armhf")
        self._build_host(arm64)
        self._build_vm("armhf", armhf)
        self._build_vm("arm64", arm64)
        self._build_ramdisk()
        shutil.copyfile(arm64.image, self.out / "kernel")
        versions = {
            "key": key_of(self.resolved),
            "packages": {name: part.versions for name, part in self.resolved.items()},
        }
        (self.out / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")

    def _kernel(self, name: str) -> Kernel:
        report(f"unpacking the kernel for {name}")
        package = self.resolved[name].kernel()
        archive = self.sources[name].archive_of(package, self.resolved[name])
        return unpack_kernel(archive, self.work / f"kernel-{name}")

    def _build_host(self, kernel: Kernel) -> None:
        report("building host.img")
        root = self._new_root("host")
        excluded = names_in("host/exclude")
        for package in self.resolved["arm64"].versions:
            if not package.startswith(("linux-image-", "dropbear")):
                self._unpack("arm64", package, root, lambda name: is_below(name, excluded))
        self._finish_root(root, "host", kernel, names_in("host/modules"))
        disk = filesystem.Disk(label="rootfs", free=HOST_FREE, inodes=16384)
        filesystem.write_disk(self.out / "host.img", root, disk)

    def _build_vm(self, name: str, kernel: Kernel) -> None:
        report(f"building vm-{name}.img")
        root = self._new_root(f"vm-{name}")
        self._unpack(
            name, "busybox-static", root, lambda path: is_below(path, ("etc", "usr/share"))
        )
        self._finish_root(root, "vm", kernel, names_in("vm/modules"))
        disk = filesystem.Disk(label="rootfs", free=VM_FREE, inodes=2048)
        filesystem.write_disk(self.out / f"vm-{name}.img", root, disk)

    def _build_ramdisk(self) -> None:
        """The arm64 VM's system as an initramfs of its own."""
        report("building the ramdisk")
        root = self.work / "vm-arm64"
        shutil.rmtree(root / "boot")
        (root / "etc/hostname").write_text("ramdisk\n")
        (root / "init").symlink_to("usr/sbin/init")
        filesystem.write_initramfs(self.out / "ramdisk", root)
        self._build_master_ramdisk(root)

    def _build_master_ramdisk(self, root: Path) -> None:
        """The ramdisk with an SSH server."""
        report("building the master image's ramdisk")
        excluded = names_in("host/exclude")
        for package in names_in("master/packages"):
            self._unpack("arm64", package, root, lambda name: is_below(name, excluded))
        filesystem.overlay(RECIPE / "master/root", root)
        (root / "etc/hostname").write_text("master\n")
        filesystem.write_initramfs(self.out / "master-ramdisk", root)

    def _new_root(self, name: str) -> Path:
        root = self.work / name
        root.mkdir()
        packages.merge_usr(root)
        filesystem.make_mount_points(root)
        return root

    def _unpack(
        self, source: str, package: str, root: Path, is_excluded: Callable[[str], bool]
    ) -> None:
        archive = self.sources[source].archive_of(package, self.resolved[source])
        packages.unpack(archive, root, is_excluded)

    def _finish_root(
        self, root: Path, recipe: str, kernel: Kernel, modules: tuple[str, ...]
    ) -> None:
        filesystem.link_applets(root)
        filesystem.overlay(RECIPE / "common/root", root)
        filesystem.overlay(RECIPE / recipe / "root", root)
        install_modules(kernel, modules, root)
        boot = root / "boot"
        filesystem.overlay(RECIPE / recipe / "boot", boot)
        (boot / "vmlinuz").write_bytes(quickly_unpacked(kernel.image.read_bytes()))
        initramfs = self.work / f"initramfs-{root.name}"
        self._make_initramfs(initramfs, root, kernel)
        filesystem.write_initramfs(boot / "initrd.img", initramfs)

    def _make_initramfs(self, target: Path, root: Path, kernel: Kernel) -> None:
        """Holds busybox and the modules that lead to the root file system, no more."""
        for folder in ("bin", "dev", "lib", "proc", "root"):
            (target / folder).mkdir(parents=True)
        shutil.copy(root / "bin/busybox", target / "bin/busybox")
        shutil.copy(RECIPE / "initramfs/init", target / "init")
        (target / "init").chmod(0o755)
        wanted = [name for name in names_in("initramfs/modules") if name not in kernel.builtin]
        install_modules(kernel, [*wanted, "virtio_pci"], target)
        keep_only_dependencies(target / "lib/modules" / kernel.release)
        (target / "modules").write_text(" ".join(wanted) + "\n")


def is_below(name: str, tops: tuple[str, ...]) -> bool:
    """True if a path is one of `tops` or inside one."""
    return any(name == top or name.startswith(f"{top}/") for top in tops)


if __name__ == "__main__":
    sys.exit(main())
