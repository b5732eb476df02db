# SPDX-License-Identifier: MIT
"""Decoding of bytes that may not be UTF-8, with one U+FFFD for each bad byte.

Python's own ``replace`` makes one U+FFFD of up to three bad bytes, so the bytes could not be
counted any more.
"""

from __future__ import annotations

import codecs

ERRORS = "lava_vmgroup.each_byte"
"""The name of the error handler, for ``bytes.decode`` and incremental decoders."""


def decoded(data: bytes) -> str:
    """Return `data` as text, with U+FFFD for each byte that is not UTF-8."""
    return data.decode(errors=ERRORS)


def _each_byte(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\ufffd" * (error.end - error.start), error.end


codecs.register_error(ERRORS, _each_byte)
