# SPDX-License-Identifier: MIT
"""The lines of a host's kernel about KVM, and about the exception level in which it was started.

On ARM, KVM logs at boot the mode that it has, or the reason why it is missing::

    CPU: All CPU(s) started at EL1                        (32-bit: in SVC mode)
    kvm [1]: HYP mode not available
    CPU: All CPU(s) started at EL2                        (32-bit: in HYP mode)
    kvm [1]: KVM disabled from command line
    kvm [1]: VHE mode initialized successfully            (6.12 on: VHE+NV2)
    kvm [1]: Hyp mode initialized successfully            (6.12 on: Hyp nVHE or Hyp hVHE)
    kvm [1]: Protected nVHE mode initialized successfully (6.12 on: or Protected hVHE)

On x86, the kernel logs only failures: ``kvm: disabled by bios``, ``kvm_intel: VMX not supported by
CPU 0``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

PATTERN = (
    r"(^|[]>] *)(kvm(_intel|_amd)?( \[[01]\])?:|CPU: .*CPU\(s\) started|x86/cpu: VMX|SVM disabled)"
)
"""The extended regular expression by which ``grep`` finds these lines."""

_STAMP = re.compile(r"^(<\d+>)?(\[[^]]*\] *)*")
_KVM = re.compile(r"(?:kvm(?: \[1\])?: |(?=kvm_(?:intel|amd): |x86/cpu: VMX|SVM ))(?P<words>.+)")
_COMPLAINT = re.compile(
    "not available|disabled|not supported|not enabled|no hardware|fail|error|cannot|unable",
    re.IGNORECASE,
)
_MODE = re.compile(r"(?P<kind>Protected |Hyp )?(?:[nh]?VHE(?:\+NV2)? )?mode initialized")
_LEVEL = re.compile(r"CPU: All CPU\(s\) started (?:at|in) (?P<level>[A-Z0-9]+)")
_HYPERVISOR_LEVELS = ("EL2", "HYP")


def without_stamp(line: str) -> str:
    """Return a line without its priority, its time and its origin."""
    return _STAMP.sub("", line).strip()


def kvm_words(log: Sequence[str]) -> str:
    """Return KVM's last line with a complaint, else its last line; empty if it has none."""
    said = _said(log)
    return next(iter([*reversed(list(filter(_COMPLAINT.search, said))), *reversed(said)]), "")


def mode_words(log: Sequence[str]) -> str:
    """Return the line by which KVM on ARM names its mode; empty if there is none."""
    return next((words for words in _said(log) if _MODE.search(words)), "")


def kvm_mode(log: Sequence[str]) -> str:
    """Return KVM's mode on ARM, ``vhe``, ``nvhe`` or ``protected``; empty if it is unknown."""
    match = _MODE.search(mode_words(log))
    if match is None:
        return ""
    return {"Protected ": "protected", "Hyp ": "nvhe"}.get(match["kind"] or "", "vhe")


def level_words(log: Sequence[str]) -> str:
    """Return the line with the level in which the processors were started; "" if there is none."""
    return next((line for line in log if _LEVEL.match(line)), "")


def started_in_el2(log: Sequence[str]) -> bool | None:
    """Return whether an ARM kernel was started in EL2 (HYP mode); None if the log is silent."""
    match = _LEVEL.match(level_words(log))
    if match is not None:
        return match["level"] in _HYPERVISOR_LEVELS
    said = _said(log)
    if "HYP mode not available" in said:
        return False
    # KVM checks for EL2 before it reads the command line, so this line proves EL2.
    return True if kvm_mode(log) or "KVM disabled from command line" in said else None


def _said(log: Sequence[str]) -> list[str]:
    """Return the words of KVM's lines, without its name."""
    return [match["words"] for line in log if (match := _KVM.fullmatch(line))]
