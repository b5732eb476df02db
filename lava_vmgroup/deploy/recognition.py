# SPDX-License-Identifier: MIT
"""Files that a job gives as disk images or kernels, but that are something else.

A raw disk image has no magic number.  So a file of a known other format is refused with the name of
that format, and every other file is accepted.
"""

from __future__ import annotations

import zlib
from pathlib import Path, PurePosixPath

from lava_vmgroup.base.errors import JobError
from lava_vmgroup.deploy.kernels import identify, is_ramdisk
from lava_vmgroup.deploy.layers import Layer, is_skippable, layer_of, shows

SECTOR = 512
_HEAD = 0x10048
_TAIL = 512
_SHOWN = 60

_CONVERT = "convert it: qemu-img convert -O qcow2 {name} disk.qcow2"
_UNPACK = "unpack it, and give the image inside"

_ANDROID = b"ANDROID!"

_FOREIGN = (
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it: 7z x {name}"),
    (0, b"Rar!\x1a\x07", "a RAR archive", "unpack it: unrar x {name}"),
    (0, b"PK\x05\x06", "an empty zip archive", "pack a disk image"),
    (0, b"PK\x07\x08", "a part of a split zip archive", "join the parts: zip -s 0"),
    (0, b"MSCF", "a cabinet archive", "unpack it: cabextract {name}"),
    (0, b"MSWIM\0\0\0", "a Windows image archive", "unpack it: wimapply {name}"),
    (0, b"!<arch>\n", "an ar archive or a Debian package", "unpack it: ar x {name}"),
    (0, b"\xed\xab\xee\xdb", "an RPM package", "unpack it: rpm2cpio {name} | cpio -i"),
    (0, b"070701", "a cpio archive", "is it a ramdisk? then give it to deploy_linaro_kernel"),
    (0, b"070702", "a cpio archive", "is it a ramdisk? then give it to deploy_linaro_kernel"),
    (0, b"070707", "a cpio archive", "is it a ramdisk? then give it to deploy_linaro_kernel"),
    (0, b"\xc7\x71", "a cpio archive", "is it a ramdisk? then give it to deploy_linaro_kernel"),
    (0, b"\x1f\x9d", "compressed by compress", "unpack it: gzip -d"),
    (0, b"\x89LZO\x00\x0d\x0a\x1a\x0a", "compressed by lzop", "unpack it: lzop -d {name}"),
    (0, b"LZIP", "compressed by lzip", "unpack it: lzip -d {name}"),
    (0, b"LRZI", "compressed by lrzip", "unpack it: lrzip -d {name}"),
    (0, b"\xff\x06\x00\x00sNaPpY", "compressed by snappy", "unpack it, and pack it with zstd"),
    (0, b"KDMV", "a VMDK image", _CONVERT),
    (0, b"COWD", "a VMDK image", _CONVERT),
    (0, b"# Disk DescriptorFile", "the description of a VMDK image", _CONVERT),
    (0x40, b"\x7f\x10\xda\xbe", "a VDI image", _CONVERT),
    (0, b"vhdxfile", "a VHDX image", _CONVERT),
    (0, b"conectix", "a VHD image", _CONVERT),
    (0, b"QED\0", "a QED image", _CONVERT),
    (0, b"WithoutFreeSpace", "a Parallels image", _CONVERT),
    (0, b"WithouFreSpacExt", "a Parallels image", _CONVERT),
    (0, b"Bochs Virtual HD Image", "a Bochs image", _CONVERT),
    (0, b"partclone-image", "an image of partclone", "restore it: partclone.restore"),
    (0, b"Salted__", "encrypted by openssl", "decrypt it: openssl enc -d"),
    (0, b"age-encryption.org", "encrypted by age", "decrypt it: age -d"),
    (0, b"UF2\n", "firmware for a microcontroller (UF2)", "give a disk image"),
    (0, b"%PDF-", "a PDF document", "give a disk image"),
    (0, b"\x89PNG\r\n\x1a\n", "a picture (PNG)", "give a disk image"),
    (0, b"\xff\xd8\xff", "a picture (JPEG)", "give a disk image"),
    (0, b"GIF8", "a picture (GIF)", "give a disk image"),
    (0, b"SQLite format 3\0", "a database of SQLite", "give a disk image"),
    (0, _ANDROID, "an Android boot image", "take the kernel out of it: unpack_bootimg"),
    (0, b"VNDRBOOT", "an Android boot image", "take the ramdisk out of it: unpack_bootimg"),
    (0, b"CrAU", "an Android update", "take the image out of it: payload-dumper-go"),
    (0, b"AVB0", "verified-boot metadata of Android", "give a disk image"),
    (0, b"\xd7\xb7\xab\x1e", "device tree overlays of Android", "give a disk image"),
    (0, b"RKFW", "firmware for Rockchip boards", "unpack it: rkunpack {name}"),
    (0, b"RKAF", "firmware for Rockchip boards", "unpack it: rkunpack {name}"),
    (0, b"IMAGEWTY", "firmware for Allwinner boards", _UNPACK),
    (
        8,
        b"\x56\x19\xb5\x27",
        "firmware for Amlogic boards",
        _UNPACK,
    ),
    (0, b"HDR0", "firmware for a router (TRX)", "give a disk image"),
    (0, b"UBI#", "an image for raw flash memory (UBI)", "give a disk image"),
    (0, b"\x31\x18\x10\x06", "an image for raw flash memory (UBIFS)", "give a disk image"),
    (0, b"\x85\x19\x03\x20", "an image for raw flash memory (JFFS2)", "give a disk image"),
    (8, b"\xf9\x9f\x12\x7b\x9c\x4d\x82\x96", "an index of casync", "extract it: casync extract"),
    (0, b"xar!", "a xar archive", "unpack it: xar -x -f {name}"),
    (0, b"7kSt\xa0\x31\x83\xd3", "a zpaq archive", "unpack it: zpaq x {name}"),
    (0, b"zPQ", "a zpaq archive", "unpack it: zpaq x {name}"),
    (0, b"# v2 git bundle\n", "a git bundle", "clone it, and give the image inside"),
    (0, b"# v3 git bundle\n", "a git bundle", "clone it, and give the image inside"),
)
"""Position, magic number, the file's kind, and the remedy."""

_FOREIGN_SUFFIXES = frozenset(
    {
        ".7z",
        ".rar",
        ".cpio",
        ".deb",
        ".rpm",
        ".vmdk",
        ".vdi",
        ".vhd",
        ".ova",
        ".ovf",
        ".wim",
        ".cab",
        ".xar",
        ".zpaq",
        ".caibx",
        ".htm",
        ".html",
        ".json",
        ".xml",
        ".vhdx",
        ".qed",
        ".dmg",
        ".lz",
        ".lzo",
    }
)
_DMG = b"koly"  # at the beginning of the last sector

_DISKS = (
    (0x1FE, b"\x55\xaa"),  # a partition table, or a boot sector
    (0x200, b"EFI PART"),
    (0x1000, b"EFI PART"),
    (0x438, b"\x53\xef"),  # ext2, ext3, ext4
    (0x400, b"\x10\x20\xf5\xf2"),  # F2FS
    (0x400, b"\xe2\xe1\xf5\xe0"),  # EROFS
    (0, b"hsqs"),
    (0, b"XFSB"),
    (0, b"LUKS\xba\xbe"),
    (0x8001, b"CD001"),
    (0x10040, b"_BHRfS_M"),
)
"""The marks of disks and file systems."""

_VARIED = 16  # different bytes: a sector without lines that has fewer is a filling pattern

_DIRT = 8
"""Zero bytes within a text that are tolerated."""
_ASCII_END = 0x80
_LATIN_UNUSED = frozenset(b"\x81\x8d\x8f\x90\x9d")  # of Windows-1252

_MARKUP = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<script")
_TEXT = frozenset(b"\t\n\r\f\x1b") | frozenset(range(0x20, 0x7F)) | frozenset(range(0x80, 0x100))


def check_is_disk(path: Path, name: str, suffixes: frozenset[str]) -> str | None:
    """Raise `JobError` if the file at `path`, called `name` in the job, is not a raw disk image.

    `suffixes` are the endings of packed files' names.  Returns a warning if a disk's name has one
    of them.
    """
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
        size = path.stat().st_size
        stream.seek(max(0, size - _TAIL))
        tail = stream.read(_TAIL)
    if (known := _known(head, tail)) is not None:
        kind, remedy = known
        raise JobError(f"{name} is {kind}, not a disk image", hint=remedy.format(name=name))
    if size < SECTOR:
        raise JobError(
            f"{name} has {size} bytes, less than a sector: it is no disk image",
            hint="was it downloaded whole?",
        )
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in suffixes | _FOREIGN_SUFFIXES:
        return None
    if not _is_marked(head):
        raise JobError(
            f"{name} is called {suffix}, but it is not packed like that, and no disk image",
            hint="is the file damaged? a raw image may have any other name, such as disk.img",
        )
    return f"{name} is called {suffix}, but it is not packed: it is used as it is"


def check_is_no_page(path: Path, name: str) -> None:
    """Raise `JobError` if the file at `path`, called `name`, is surely no kernel or device tree.

    Servers send web pages, texts or nothing in their place, and jobs give a ramdisk or a disk.
    """
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
    if not head:
        raise JobError(f"{name} is empty", hint="was it downloaded whole?")
    if is_ramdisk(head):
        raise JobError(f"{name} is a ramdisk (a uImage), no kernel", hint="give it as ramdisk")
    if (known := _page(head)) is not None:
        kind, remedy = known
        raise JobError(f"{name} is {kind}", hint=remedy)
    if identify(head) is None and (other := _of_no_kernel(head)) is not None:
        raise JobError(f"{name} is {other}, no kernel", hint="were two files given for each other?")


def _of_no_kernel(head: bytes) -> str | None:
    """Return the kind of a file in no format of kernels; None if it may be a kernel all the same.

    U-Boot boots the boot images of Android.
    """
    for position, magic, kind, _ in _FOREIGN:
        if shows(head, position, magic) and magic != _ANDROID:
            return kind
    packing = layer_of(head)
    # Within packed data, the marks of disks, some of two bytes, come by chance.
    is_disk = packing is Layer.QCOW2 or (packing is None and _is_marked(head))
    return "a disk image" if is_disk else None


def _page(head: bytes) -> tuple[str, str] | None:
    """Return the kind of a text that a server sends in place of a file, and the remedy, or None."""
    head = _from_utf16(head[:SECTOR]) or head
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_MARKUP):
        return "a web page", "does its server want a login, or is the address wrong?"
    if head.startswith(b"version https://git-lfs"):
        return "a pointer of git-lfs to a file", "fetch it: git lfs pull"
    if _is_text(head[:SECTOR]):
        line = head.decode(errors="replace").strip().split("\n")[0][:_SHOWN]
        return f"a text that begins with {line!r}", "is it the right file?"
    return None


def _known(head: bytes, tail: bytes) -> tuple[str, str] | None:
    """Return the kind of a file that is not a disk, and the remedy; None if it may be a disk."""
    for position, magic, kind, remedy in _FOREIGN:
        if shows(head, position, magic):
            return kind, remedy
    if is_skippable(head):
        return "frames without data of zstd or lz4, and nothing packed behind them", _UNPACK
    if tail.startswith(_DMG):
        return "a disk image of macOS (DMG)", "convert it: qemu-img convert -f dmg -O qcow2"
    kernel = identify(head)
    if kernel is not None and not _is_marked(head):
        return kernel.form, "give a kernel to deploy_linaro_kernel"
    if (page := _page(head)) is not None:
        return page
    if _is_zlib(head) and not _is_marked(head):
        return "compressed by zlib, without a format around it", "unpack it, and pack it with gzip"
    return None


def _is_zlib(head: bytes) -> bool:
    """Return whether zlib can decompress the data: its header alone proves little."""
    if head[:1] != b"\x78" or int.from_bytes(head[:2], "big") % 31 or head[1] & 0x20:
        return False
    try:
        return zlib.decompressobj().decompress(head) != b""
    except zlib.error:
        return False


def _is_text(head: bytes) -> bool:
    """Return whether the first sector is a text, and not a filling pattern."""
    zeros = head.count(0)
    if zeros:  # those at the end are padding, and a few others are tolerated
        head = head.rstrip(b"\0").replace(b"\0", b"", _DIRT)
        is_structured = b"\n" in head and zeros <= _DIRT
    else:
        is_structured = b"\n" in head or head.lstrip().startswith((b"{", b"["))
    if not _TEXT.issuperset(head) or not (is_structured or (not zeros and _varied(head))):
        return False
    return _is_utf8(head) or (is_structured and _is_latin(head))


def _varied(head: bytes) -> bool:
    return len({*head}) >= _VARIED


def _is_latin(head: bytes) -> bool:
    """Return whether `head` may be western European text: mostly ASCII, no control characters."""
    ascii_count = sum(byte < _ASCII_END for byte in head)
    return ascii_count * 2 > len(head) and not _LATIN_UNUSED.intersection(head)


def _is_utf8(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.end == len(head) == SECTOR  # a character that the sector cuts in two
    return True


def _from_utf16(head: bytes) -> bytes | None:
    """Return text in UTF-16 as UTF-8; None for other data."""
    order = {b"\xff\xfe": "le", b"\xfe\xff": "be"}.get(head[:2], "")
    half = len(head) // 2
    if not order and half and head[1::2] == bytes(half):
        order = "le"
    elif not order and half and head[::2] == bytes(len(head) - half):
        order = "be"
    if not order:
        return None
    try:
        return head[: half * 2].decode(f"utf-16-{order}").lstrip("\ufeff").encode()
    except UnicodeError:
        return None


def _is_marked(head: bytes) -> bool:
    return any(shows(head, position, magic) for position, magic in _DISKS)
