# SPDX-License-Identifier: MIT
"""The QEMU that a VM gets: its program and its kernel's command line, by job, lab and image."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.config.settings import BootSettings, DeploySettings
from lava_vmgroup.connections.ssh_access import Address
from lava_vmgroup.connections.ssh_keys import JobKey
from lava_vmgroup.deploy.filesystems import Partition
from lava_vmgroup.deploy.root_device import Layout, Volume
from lava_vmgroup.deploy.tftp import KernelFiles
from lava_vmgroup.nodes.vm import VMNode
from lava_vmgroup.vms.facts import FIRMWARE, Arch
from lava_vmgroup.vms.folder import VMFolder
from lava_vmgroup.vms.images import ImageLibrary, PreparedImage
from lava_vmgroup.vms.introduction import Offer
from lava_vmgroup.vms.store import ImageStore
from lava_vmgroup.vms.stored_file import StoredFile
from lava_vmgroup.vms.vm_host import VMHost
from tests.unit.nodes.conftest import MakeShared
from tests.unit.vms.backends.test_qemu_kernel import ARM64
from tests.unit.vms.backends.test_qemu_preflight import BOARD
from tests.unit.vms.backends.test_qemu_probe import Qemu

TYPE = """
client_type = qemu
qemu_networks =
root_device = /dev/vda1
boot_cmds = root=/dev/vda1 rw {{WORD}}
boot_cmds_ramdisk = rdinit=/sbin/init {{WORD}}
boot_cmds_other = root=/dev/vda1 other
boot_options =
  boot_cmds
  word
{more}
[boot_cmds]
default = boot_cmds
[word]
default = lab
"""


class LaunchedError(Exception):
    """The end of a boot: this is what QEMU would have been started with."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.argv = argv


class Host(Qemu):
    """A host on which KVM works, and which keeps what its VMs claim to itself."""

    def check_run(self, *_: object) -> str:
        return ""


def launched(_folder: VMFolder, argv: Sequence[str], *_: object, **__: object) -> None:
    raise LaunchedError(argv)


def soon() -> Deadline:
    return Deadline.after("the test", 60)


MakeVM = Callable[..., VMNode]


@pytest.fixture
def make_vm(make_shared: MakeShared, monkeypatch: pytest.MonkeyPatch) -> MakeVM:
    """Makes a VM that can be deployed and booted up to its launch; takes more of its type."""
    address = Address(host="h", port=22, username="root", host_keys=(), patience_s=60)
    host = VMHost(Offer(address=address, folder="/vms"), JobKey(), "group")
    facts = replace(BOARD, firmware=frozenset(FIRMWARE[Arch.AARCH64][:1]))
    nothing = lambda *_, **__: None  # noqa: E731
    for kind, name, stand_in in (
        (VMHost, "facts", lambda *_: facts),
        (VMHost, "dial", lambda *_: Host("kvm", "tcg")),
        (VMNode, "_meet_host", lambda *_: host),
        (ImageStore, "room", nothing),
        (ImageStore, "plan", lambda *_: 0),
        (ImageStore, "put", lambda _self, file, *_: f"/store/{file.path.name}"),
        (VMFolder, "make", nothing),
        (VMFolder, "add_layer", nothing),
        (VMFolder, "remove", nothing),
        (VMFolder, "start", launched),
    ):
        monkeypatch.setattr(kind, name, stand_in)

    def make(more: str = "") -> VMNode:
        shared = make_shared(TYPE.format(more=more))
        return VMNode(shared.group.nodes[1], "vm1", shared, CancelToken())

    return make


def qemu_of(vm: VMNode, boot: BootSettings | None = None) -> Sequence[str]:
    """The command that a boot would start QEMU with."""
    with pytest.raises(LaunchedError) as caught:
        vm.boot(soon(), boot or BootSettings())
    return caught.value.argv


def option(argv: Sequence[str], name: str) -> str | None:
    return argv[argv.index(name) + 1] if name in argv else None


def deploy_kernel(
    vm: VMNode, folder: Path, *, ramdisk: Path | None = None, rootfs: Path | None = None
) -> None:
    (folder / "Image").write_bytes(ARM64)
    given = KernelFiles(kernel=folder / "Image", ramdisk=ramdisk, rootfs=rootfs)
    vm.deploy_kernel(given, soon())


def ramdisk(folder: Path) -> Path:
    (folder / "initrd").write_bytes(bytes(100))
    return folder / "initrd"


def deploy_image(
    vm: VMNode, folder: Path, monkeypatch: pytest.MonkeyPatch, append: str | None
) -> None:
    """Deploy an image whose second partition has a system with a kernel, named like this."""
    for name, content in (("vm.img", bytes(512)), ("vmlinuz", ARM64)):
        (folder / name).write_bytes(content)
    volumes = tuple(
        Volume(partition=Partition(number=number), type="ext4", has_init=number == 2)
        for number in (1, 2, 3)
    )
    image = PreparedImage(
        disk=StoredFile(path=folder / "vm.img", digest="1"),
        kernel=StoredFile(path=folder / "vmlinuz", digest="2"),
        initrd=None,
        append=append,
        partition=2,
        layout=Layout(volumes=volumes),
    )
    monkeypatch.setattr(ImageLibrary, "prepare", lambda *_: image)
    vm.deploy_image(folder / "vm.img", soon())


def test_kernel_with_a_ramdisk_gets_the_labs_line_for_ramdisks(
    make_vm: MakeVM, tmp_path: Path
) -> None:
    vm = make_vm()
    deploy_kernel(vm, tmp_path, ramdisk=ramdisk(tmp_path))

    argv = qemu_of(vm)

    assert option(argv, "-kernel") == "/store/Image"
    assert option(argv, "-initrd") == "/store/initrd"
    assert option(argv, "-append") == "rdinit=/sbin/init lab console=ttyAMA0"


def test_kernel_with_a_root_file_system_gets_the_labs_line_for_disks(
    make_vm: MakeVM, tmp_path: Path
) -> None:
    (tmp_path / "rootfs").write_bytes(bytes(4096))
    vm = make_vm()
    deploy_kernel(vm, tmp_path, rootfs=tmp_path / "rootfs")

    assert option(qemu_of(vm), "-append") == "root=/dev/vda rw lab console=ttyAMA0"


@pytest.mark.parametrize(
    ("boot", "append"),
    [
        (BootSettings(boot_cmds=("console=ttyAMA0", "job")), "console=ttyAMA0 job"),
        (
            BootSettings(options=("boot_cmds=boot_cmds_other",)),
            "root=/dev/vda1 other console=ttyAMA0",
        ),
    ],
)
def test_line_that_the_boot_action_chooses_replaces_the_labs_for_this_boot_only(
    boot: BootSettings, append: str, make_vm: MakeVM, tmp_path: Path
) -> None:
    vm = make_vm()
    deploy_kernel(vm, tmp_path, ramdisk=ramdisk(tmp_path))

    lines = [option(qemu_of(vm, one), "-append") for one in (boot, None)]

    assert lines == [append, "rdinit=/sbin/init lab console=ttyAMA0"]


@pytest.mark.parametrize("has_disk", [True, False])
def test_option_of_the_boot_action_fills_the_labs_line_for_what_is_deployed(
    has_disk: bool, make_vm: MakeVM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = make_vm()
    if has_disk:
        deploy_image(vm, tmp_path, monkeypatch, "root=/dev/vda2 of the image")
    else:
        deploy_kernel(vm, tmp_path, ramdisk=ramdisk(tmp_path))

    append = option(qemu_of(vm, BootSettings(options=("word=given",))), "-append")

    line = "root=/dev/vda1 rw given" if has_disk else "rdinit=/sbin/init given"
    assert append == f"{line} console=ttyAMA0"


@pytest.mark.parametrize(
    ("found", "settings", "append"),
    [
        ("root=/dev/vda2 quiet", DeploySettings(), "root=/dev/vda2 quiet console=ttyAMA0"),
        ("root=/dev/mmcblk0p2 quiet", DeploySettings(), "root=/dev/vda2 quiet console=ttyAMA0"),
        (None, DeploySettings(), "root=/dev/vda2 rw lab console=ttyAMA0"),
        (None, DeploySettings(root_part=3), "root=/dev/vda3 rw lab console=ttyAMA0"),
    ],
    ids=["the image's", "the image's for a board", "the lab's", "the job's partition"],
)
def test_kernel_of_an_image_gets_the_line_of_the_image_or_else_the_labs(
    found: str | None,
    settings: DeploySettings,
    append: str,
    make_vm: MakeVM,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vm = make_vm()
    vm.configure(settings)
    deploy_image(vm, tmp_path, monkeypatch, found)

    argv = qemu_of(vm)

    assert (option(argv, "-kernel"), option(argv, "-append")) == ("/store/vmlinuz", append)
    assert "/store/vm.img" not in argv, "the guest writes to a layer of its own"


def test_image_that_boots_by_firmware_gets_no_kernel_and_no_line(
    make_vm: MakeVM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = make_vm()
    vm.configure(DeploySettings(bootloadertype="uefi"))
    deploy_image(vm, tmp_path, monkeypatch, "root=/dev/vda2")

    argv = qemu_of(vm)

    assert not {"-kernel", "-append"} & {*argv}
    assert option(argv, "-bios") == FIRMWARE[Arch.AARCH64][0]


@pytest.mark.parametrize(
    ("console", "append"),
    [
        ("hvc0", "rdinit=/sbin/init lab console=hvc0"),
        ("", "rdinit=/sbin/init lab console=ttyAMA0"),
    ],
)
def test_console_of_the_lab_is_the_kernels_last(
    console: str, append: str, make_vm: MakeVM, tmp_path: Path
) -> None:
    vm = make_vm(f"qemu_console = {console}\n")
    deploy_kernel(vm, tmp_path, ramdisk=ramdisk(tmp_path))

    assert option(qemu_of(vm), "-append") == append


def test_qemu_of_the_lab_is_launched_and_told_in_the_results(
    make_vm: MakeVM, tmp_path: Path
) -> None:
    vm = make_vm("qemu_binary = /opt/qemu/bin/qemu-system-aarch64\nqemu_cpu = max\n")
    deploy_kernel(vm, tmp_path, ramdisk=ramdisk(tmp_path))

    argv = qemu_of(vm)

    assert (argv[0], option(argv, "-cpu")) == ("/opt/qemu/bin/qemu-system-aarch64", "max")
    assert vm.attributes["qemu_binary"] == argv[0]


def test_qemu_of_the_host_is_launched_where_the_lab_has_none(
    make_vm: MakeVM, tmp_path: Path
) -> None:
    vm = make_vm()
    deploy_kernel(vm, tmp_path, ramdisk=ramdisk(tmp_path))

    argv = qemu_of(vm)

    assert (argv[0], option(argv, "-cpu")) == ("qemu-system-aarch64", "host")
    assert vm.attributes["qemu_binary"] == argv[0]
