# SPDX-License-Identifier: MIT
"""Text of a system that may send bytes that are no UTF-8: U+FFFD stands for each of them.

Python's own ``replace`` makes one U+FFFD of up to three bytes; then nobody can count them.
"""

from __future__ import annotations

import codecs

ERRORS = "lava_vmgroup.each_byte"
"""The error handler for such bytes, for ``bytes.decode`` and decoders."""


def decoded(data: bytes) -> str:
    """Read bytes as UTF-8."""
    return data.decode(errors=ERRORS)


def _each_byte(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\ufffd" * (error.end - error.start), error.end


codecs.register_error(ERRORS, _each_byte)
