# SPDX-License-Identifier: MIT
"""U-Boot's legacy image format.

The format is a header of 64 bytes, all numbers big-endian, in front of the data.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

_MAGIC = 0x27051956
_HEADER = struct.Struct(">7I4B32s")
HEADER_SIZE = _HEADER.size

_LINUX = 5
_UNCOMPRESSED = 0
KERNEL, RAMDISK, MULTI, KERNEL_NOLOAD = 2, 3, 4, 14

ARCHITECTURES = {"arm": 2, "x86": 3, "mips": 5, "ppc": 7, "arm64": 22, "x86_64": 24, "riscv": 26}
"""U-Boot's numbers of the architectures, by the names that mkimage has for them."""


def is_legacy(data: bytes) -> bool:
    """Return whether `data` begins with a header of this format."""
    return data[:4] == struct.pack(">I", _MAGIC)


def wrap(data: bytes, kind: int, architecture: str, *, load: int = 0, entry: int = 0) -> bytes:
    """Return `data` behind a header; U-Boot copies it to `load`, and jumps to `entry`."""

    def header(checksum: int) -> bytes:
        return _HEADER.pack(
            *(_MAGIC, checksum, 0, len(data), load, entry, zlib.crc32(data)),
            *(_LINUX, ARCHITECTURES[architecture], kind, _UNCOMPRESSED),
            b"Linux",
        )

    return header(zlib.crc32(header(0))) + data


def join(parts: Sequence[bytes]) -> bytes:
    """Return the data of a `MULTI` image: the parts' sizes, 0, and the parts, padded to words."""
    sizes = struct.pack(f">{len(parts) + 1}I", *map(len, parts), 0)
    return sizes + b"".join(part + bytes(-len(part) % 4) for part in parts)
