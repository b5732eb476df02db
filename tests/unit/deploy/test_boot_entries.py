# SPDX-License-Identifier: MIT
"""Boot loaders' configuration files say the same here as to the boot loaders."""

from pathlib import Path

import pytest

from lava_vmgroup.deploy.boot_entries import (
    Entry,
    Menu,
    boot_loader_specification,
    extlinux,
    variables_of,
)
from lava_vmgroup.deploy.grub_config import grub

IMAGES = Path(__file__).parent / "images"


def chosen(menu: Menu) -> tuple[str, tuple[str, ...], str]:
    entry = menu.in_order()[0]
    return entry.kernel, entry.initrds, entry.append


def nothing(_: str) -> str | None:
    return None


@pytest.mark.parametrize(
    ("text", "kernel", "append"),
    [
        ((IMAGES / "extlinux-tabs.conf").read_text(), "/boot/vmlinuz-2", "right"),
        ((IMAGES / "extlinux-menu-default.conf").read_text(), "/boot/vmlinuz-2", "right"),
        ("label a\nkernel k1\nlabel b\nkernel k2\ndefault b\n", "k2", ""),
        ("default a\nlabel a\nkernel k1\nlabel b\nkernel k2\nontimeout b\n", "k2", ""),
        ("default a\nlabel a\nkernel k1\nlabel b\nmenu default\nkernel k2\n", "k1", ""),
        ("label a\nMENU LABEL The First\nLINUX k1\nAppend x\n", "k1", "x"),
        ("label a\r\n  kernel k1\r\n  append x\r\n", "k1", "x"),
        ("default l0\nlabel l0\nlinux k0\nlabel l0\nlinux k1\n", "k1", ""),
        ("label a\nkernel first\nkernel k1#conf-1\nfdtdir /dtbs\nappend x\n", "k1", "x"),
        ("label a\nkernel k1\nfdt /a.dtb\ndevicetreedir /d\nfdtoverlays /o\nappend x\n", "k1", "x"),
        ("# a comment\nlabel a\n # one more\nkernel k1\nappend x # y\n", "k1", "x # y"),
        ("default none\nlabel a\nkernel k1\n", "k1", ""),
        ("label a\nkernel k1\ntext help\nappend never seen\n", "k1", ""),
        ("label a\nkernel k1\nappend x ${bootargs} $(more) y\n", "k1", "x   y"),
    ],
)
def test_extlinux_entry_is_the_one_that_u_boot_boots(text: str, kernel: str, append: str) -> None:
    found, _, arguments = chosen(extlinux(text, nothing))

    assert (found, arguments) == (kernel, append)


def test_extlinux_files_are_included(tmp_path: Path) -> None:
    files = {"more.conf": "menu include last.conf\n", "last.conf": "label b\nkernel k2\n"}

    menu = extlinux("default b\ninclude more.conf\nlabel a\nkernel k1\n", files.get)

    assert [entry.name for entry in menu.in_order()] == ["b", "a"]


def test_extlinux_file_that_includes_itself_ends() -> None:
    menu = extlinux("include me\nlabel a\nkernel k\n", {"me": "include me\n"}.get)

    assert [entry.kernel for entry in menu.entries] == ["k"]


def test_first_ramdisk_of_an_extlinux_entry_counts() -> None:
    text = "label a\nkernel k\nappend initrd=/first quiet\ninitrd /second\n"

    assert chosen(extlinux(text, nothing))[1] == ("/first",)


FEDORA = """\
title Fedora Linux (6.{minor}.0-200.fc40.aarch64) 40 (Cloud Edition)
version 6.{minor}.0-200.fc40.aarch64
linux /vmlinuz-6.{minor}.0-200.fc40.aarch64
initrd /initramfs-6.{minor}.0-200.fc40.aarch64.img $tuned_initrd
options root=UUID=e1 ro rootflags=subvol=root $tuned_params
grub_users $grub_users
"""
RESCUE = "version 0-rescue-abc\nlinux /vmlinuz-0-rescue-abc\noptions root=UUID=e1 ro\n"
ENTRIES = {
    "id-6.9": FEDORA.format(minor=9),
    "id-6.10": FEDORA.format(minor=10),
    "id-0-rescue": RESCUE,
}


@pytest.mark.parametrize(
    ("default", "kernel"),
    [
        ("", "/vmlinuz-6.10.0-200.fc40.aarch64"),
        ("id-6.9", "/vmlinuz-6.9.0-200.fc40.aarch64"),
        ("id-6.9.conf", "/vmlinuz-6.9.0-200.fc40.aarch64"),
        ("*rescue", "/vmlinuz-0-rescue-abc"),
        ("gone", "/vmlinuz-6.10.0-200.fc40.aarch64"),
    ],
)
def test_newest_or_saved_entry_of_fedora_is_taken(default: str, kernel: str) -> None:
    found, _, _ = chosen(boot_loader_specification(ENTRIES, default, {}))

    assert found == kernel


def test_variables_of_grub_are_put_in_or_left_out() -> None:
    text = "linux /k\ninitrd /a $tuned_initrd\ninitrd /b\noptions $kernelopts quiet $tuned_params\n"
    variables = variables_of("# GRUB\nkernelopts=root=UUID=e1 ro \n####\n")

    menu = boot_loader_specification({"one": text}, "", variables)

    assert menu.entries == [
        Entry(name="one", kernel="/k", initrds=("/a", "/b"), append="root=UUID=e1 ro quiet")
    ]


GRUB = """\
if [ -s $prefix/grubenv ]; then
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
else
   set default="0"
fi
function savedefault {
  if [ -z "${boot_once}" ]; then
    saved_entry="${chosen}"
  fi
}
menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'gnulinux-simple-e1' {
	load_video
	if [ x$grub_platform = xxen ]; then insmod xzio; fi
	search --no-floppy --fs-uuid --set=root e1
	echo	'Loading Linux 6.1.0-50-arm64 ...'
	linux	/boot/vmlinuz-6.1.0-50 root=PARTUUID=p1 ro console=ttyAMA0,115200 $extra
	initrd	/boot/initrd.img-6.1.0-50
}
submenu 'Advanced options for Debian GNU/Linux' $menuentry_id_option 'gnulinux-advanced-e1' {
	menuentry 'Debian GNU/Linux, with Linux 6.1.0-40' $menuentry_id_option 'gnulinux-40-e1' {
		linux	/boot/vmlinuz-6.1.0-40 root=PARTUUID=p1 ro
	}
}
menuentry "Memory test" {
	linux16	/boot/memtest
}
"""


@pytest.mark.parametrize(
    ("default", "kernel"),
    [
        ("0", "/boot/vmlinuz-6.1.0-50"),
        ("2", "/boot/memtest"),
        ("gnulinux-advanced-e1>gnulinux-40-e1", "/boot/vmlinuz-6.1.0-40"),
        ("Memory test", "/boot/memtest"),
        ("gone", "/boot/vmlinuz-6.1.0-50"),
    ],
)
def test_default_entry_of_grub_is_taken(default: str, kernel: str) -> None:
    text = GRUB.replace('set default="0"', f'set default="{default}"')

    assert chosen(grub(text, {}))[0] == kernel


def test_saved_entry_of_grub_goes_before_its_default() -> None:
    assert chosen(grub(GRUB, {"saved_entry": "Memory test"}))[0] == "/boot/memtest"


def test_arguments_and_ramdisk_of_a_grub_entry_are_taken_without_variables() -> None:
    assert chosen(grub(GRUB, {})) == (
        "/boot/vmlinuz-6.1.0-50",
        ("/boot/initrd.img-6.1.0-50",),
        "root=PARTUUID=p1 ro console=ttyAMA0,115200",
    )
