# SPDX-License-Identifier: MIT
"""Finds markers that a line of the kernel has torn, and lines of the kernel in front of markers."""

from __future__ import annotations

import re

from lava_vmgroup.testshell.records import unfinished_record
from lava_vmgroup.testshell.verdicts import KERNEL_TEXT

_HEADS = re.compile(r"(?:<\d{1,4}\.\d{1,6})?(?:<LAVA_MULTI_NODE> )?\Z")
"""The beginning of a record or of a call, in front of the last "<" of its marker."""


def without_kernel(text: str) -> str:
    """Return the text in front of a marker, without a kernel's line that the marker has torn."""
    kernel_text = KERNEL_TEXT.search(text)
    return text[: kernel_text.start()] if kernel_text else text


def torn_marker(line: str, longest: int) -> tuple[int, str]:
    """Return the index of a torn marker, and its beginning up to the kernel text inside it.

    The beginning is empty if no marker is torn.  `longest` is the limit of a marker's characters.
    """
    for kernel_text in KERNEL_TEXT.finditer(line):
        # Only the text just before can hold the marker's beginning: a long line costs no time.
        end = kernel_text.start()
        begin = max(0, end - 2 * longest)
        head = line[begin:end]
        start = unfinished_record(head)
        if start < 0:
            start = _unfinished_marker(head, longest)
        if start >= 0:
            before = _HEADS.search(head[:start])
            start = before.start() if before else start
            return begin + start, head[start:]
    return 0, ""


def _unfinished_marker(text: str, longest: int) -> int:
    """Return the index at which an unfinished marker at the end of `text` begins, or -1."""
    start = text.rfind("<")
    marker = text[start:] if start >= 0 else ""
    unfinished = (
        "<LAVA_".startswith(marker)
        or (marker.startswith("<LAVA_") and ">" not in marker)
        or marker.startswith(("<LAVA_MULTI_NODE>", "<LAVA_TEST_RUNNER>"))
    )
    return start if marker and unfinished and len(marker) <= longest else -1
