# SPDX-License-Identifier: MIT
"""Boot loaders' configuration files say the same here as to the boot loaders."""

from pathlib import Path

import pytest

from lava_vmgroup.deploy.boot_entries import (
    BootEntry,
    Menu,
    boot_loader_specification,
    extlinux,
)
from lava_vmgroup.deploy.grub_config import grub
from lava_vmgroup.deploy.grub_variables import GrubVariables

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
        ("ID-*RESCUE.conf", "/vmlinuz-0-rescue-abc"),
        ("gone", "/vmlinuz-6.10.0-200.fc40.aarch64"),
    ],
)
def test_newest_or_saved_entry_of_fedora_is_taken(default: str, kernel: str) -> None:
    found, _, _ = chosen(boot_loader_specification(ENTRIES, default, GrubVariables()))

    assert found == kernel


def test_variables_of_grub_are_put_in_or_left_out() -> None:
    text = "linux /k\ninitrd /a $tuned_initrd\ninitrd /b\noptions $kernelopts quiet $site_options\n"
    variables = GrubVariables.of_grubenv("# GRUB\nkernelopts=root=UUID=e1 ro \n####\n")

    menu = boot_loader_specification({"one": text}, "", variables)

    assert menu.entries == [
        BootEntry(
            name="one",
            kernel="/k",
            initrds=("/a", "/b"),
            append="root=UUID=e1 ro quiet",
            warnings=("$site_options has no known value and is left empty",),
        )
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

    assert chosen(grub(text, GrubVariables()))[0] == kernel


@pytest.mark.parametrize(
    ("before", "kernel"),
    [
        ("default=2\n", "/boot/memtest"),
        ("serial --unit=0\ndefault='Memory test'\ntimeout=5\n", "/boot/memtest"),
        ("function other {\n  set default=2\n}\n", "/boot/vmlinuz-6.1.0-50"),
        ("function other { if true; then default=2; fi; }\n", "/boot/vmlinuz-6.1.0-50"),
    ],
)
def test_default_of_grub_is_the_value_that_its_shell_gives_it(before: str, kernel: str) -> None:
    menu = grub(before + GRUB[GRUB.index("function") :], GrubVariables())

    assert chosen(menu)[0] == kernel
    assert menu.warnings == []


def test_default_of_grub_that_depends_on_something_unknown_is_warned_of() -> None:
    menu = grub("if [ x$never = xyes ]; then set default=2; fi\n" + GRUB, GrubVariables())

    assert menu.warnings == [
        "the default entry depends on `if [ x$never = xyes ]`, which is taken to hold"
    ]
    assert grub(GRUB, GrubVariables()).warnings == []


@pytest.mark.parametrize("device", ["($root)", "(${root})", "(hd0,msdos1)", "(hd1,gpt2)"])
def test_device_before_a_path_of_grub_is_no_part_of_it(device: str) -> None:
    menu = grub(
        f"menuentry x {{ linux {device}/k a=(b)/c; initrd {device}/r; }}\n", GrubVariables()
    )

    assert chosen(menu) == ("/k", ("/r",), "a=(b)/c")


@pytest.mark.parametrize(
    ("default", "variables", "kernel"),
    [
        ("0", {"saved_entry": "Memory test"}, "/boot/vmlinuz-6.1.0-50"),
        ("${saved_entry}", {"saved_entry": "Memory test"}, "/boot/memtest"),
        ("$saved_entry", {"saved_entry": "1>0"}, "/boot/vmlinuz-6.1.0-40"),
        ("${saved_entry}", {}, "/boot/vmlinuz-6.1.0-50"),
        ("0", {"next_entry": "2"}, "/boot/memtest"),
    ],
)
def test_saved_entry_of_grub_counts_where_its_default_says_so(
    default: str, variables: dict[str, str], kernel: str
) -> None:
    text = GRUB.replace('set default="0"', f'set default="{default}"')

    menu = grub(text, GrubVariables(variables))

    assert chosen(menu)[0] == kernel
    assert menu.default == menu.in_order()[0].name


@pytest.mark.parametrize(
    ("default", "kernel"),
    [
        ("1>1", "/second"),
        ("1>2>0", "/deep"),
        ("1", "/first"),
        ("More>Second", "/second"),
        ("more-id>1", "/second"),
        ("2", "/last"),
        ("a>>b", "/last"),
    ],
)
def test_default_of_grub_is_found_in_submenus(default: str, kernel: str) -> None:
    text = f"""\
set default={default}
menuentry Top {{ linux /top; }}
submenu 'More' --id more-id {{
  menuentry First {{
    linux /first
  }}
  menuentry "Second" {{ linux /second; initrd /rd; }}
  submenu Deeper {{ menuentry Deep {{ linux /deep
  }} }}
}}
menuentry 'a>b' {{ linux /last; }}
"""
    menu = grub(text, GrubVariables())

    assert (chosen(menu)[0], menu.default) == (kernel, menu.in_order()[0].name)


@pytest.mark.parametrize("default", ["1>7", "9", "none", "$unknown"])
def test_default_of_grub_that_is_not_there_is_no_silent_choice(default: str) -> None:
    text = f"set default='{default}'\nmenuentry a {{\nlinux /k\n}}\nsubmenu s {{\n}}\n"

    menu = grub(text, GrubVariables())

    assert menu.default == default  # the caller warns that it boots another entry


@pytest.mark.parametrize(
    "text",
    [
        "menuentry x {\n linux /k \\\n  a=b \\\n  c\n initrd /r1 \\\n /r2\n}\n",
        "menuentry x {\r\n linux /k \\\r\n  a=b c\r\n initrd /r1 /r2\r\n}\r\n",
        "menuentry x { linux /k a=b c; initrd /r1 /r2; }\n",
        "menuentry 'x {y}' {\n linux ($root)/k a=b c # d\n initrd (${root})/r1 ($root)/r2\n}\n",
        'menuentry x {\n linux \'/k\' "a=b" c\n initrd /r1 "/r2"\n}',
    ],
    ids=["continued", "continued in DOS lines", "one line", "root", "quotes"],
)
def test_grub_entry_is_read_as_its_shell_reads_it(text: str) -> None:
    assert chosen(grub(text, GrubVariables())) == ("/k", ("/r1", "/r2"), "a=b c")


def test_argument_with_blanks_keeps_its_quotes_for_the_kernel() -> None:
    menu = grub("menuentry x {\n linux /my\\ k 'dyndbg=file a +p' b\n}\n", GrubVariables())

    assert chosen(menu) == ("/my k", (), '"dyndbg=file a +p" b')


def entry(kernel: str, **lines: str) -> str:
    found = {"linux": kernel, **lines}
    return "".join(f"{key.replace('_', '-')} {value}\n" for key, value in found.items())


@pytest.mark.parametrize(
    ("entries", "default", "kernel"),
    [
        ({"zz": entry("/z", sort_key="a"), "aa": entry("/a", version="9")}, "", "/z"),
        ({"a": entry("/a", sort_key="b"), "b": entry("/b", sort_key="a")}, "", "/b"),
        (
            {
                "x": entry("/old", sort_key="a", version="6.9"),
                "w": entry("/new", sort_key="a", version="6.10"),
            },
            "",
            "/new",
        ),
        ({"a-6.5": entry("/old"), "a-6.10+0-3": entry("/bad")}, "", "/old"),
        ({"a-6.5": entry("/old"), "a-6.10+2-1": entry("/new")}, "", "/new"),
        ({"a-6.5+3": entry("/old"), "a-6.10": entry("/new")}, "a-6.5.conf", "/old"),
        ({"a-6.10~rc1": entry("/rc"), "a-6.10": entry("/final")}, "", "/final"),
        ({"a-6.10": entry("/base"), "a-6.10.1": entry("/point")}, "", "/point"),
        ({"a-6.5": entry("/old"), "a-6.10": entry("/new")}, "1", "/old"),
        (
            {
                "a-9": entry("/x64", architecture="x64"),
                "a-8": entry("/aa64", architecture="AA64"),
            },
            "",
            "/aa64",
        ),
    ],
)
def test_entry_is_the_one_that_systemd_boot_boots(
    entries: dict[str, str], default: str, kernel: str
) -> None:
    for order in (entries, dict(reversed(entries.items()))):
        menu = boot_loader_specification(order, default, GrubVariables(), "aarch64")

        assert chosen(menu)[0] == kernel


def test_arguments_and_ramdisk_of_a_grub_entry_are_taken_without_variables() -> None:
    assert chosen(grub(GRUB, GrubVariables())) == (
        "/boot/vmlinuz-6.1.0-50",
        ("/boot/initrd.img-6.1.0-50",),
        "root=PARTUUID=p1 ro console=ttyAMA0,115200",
    )
