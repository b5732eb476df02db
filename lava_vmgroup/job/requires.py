# SPDX-License-Identifier: MIT
"""``requires``: the words by which a job names the properties that its host must have.

They are checked with the job; `lava_vmgroup.vms.requires` compares them with the host.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from lava_vmgroup.base.place import shown, unknown


class Kind(enum.Enum):
    """The first part of a word, which names the property."""

    KVM = "kvm"
    EL2 = "el2"
    KVM_MODE = "kvm-mode"
    GIC = "gic"
    ARCH = "arch"
    CPUS = "cpus"
    MEMORY = "memory"
    QEMU = "qemu"
    MODULE = "module"
    DEVICE = "device"
    COMMAND = "command"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing that the host must have."""

    kind: Kind
    value: str = ""

    def __str__(self) -> str:
        if not self.value:
            return self.kind.value
        return f"{self.kind.value}{'>=' if self.kind in _LEAST else ':'}{self.value}"


_CHOICES: Mapping[Kind, tuple[str, ...]] = {
    Kind.KVM_MODE: ("vhe", "nvhe", "protected"),
    Kind.GIC: ("2", "3"),
    Kind.ARCH: ("aarch64", "aarch32", "x86_64"),
}
"""The properties of which a host has exactly one value, with their known values."""

_NUMBER = "[0-9]{1,9}"
_LEAST: Mapping[Kind, tuple[str, str]] = {
    Kind.CPUS: (_NUMBER, "a whole number, as in cpus>=4"),
    Kind.MEMORY: (_NUMBER, "a whole number of MiB, as in memory>=2048"),
    Kind.QEMU: (r"[0-9]{1,9}(\.[0-9]{1,9}){0,3}", "a version, as in qemu>=8.0"),
}
"""The lower limits, each with the pattern of its value and a text for messages."""

_NAMED: Mapping[Kind, tuple[str, str]] = {
    Kind.MODULE: (r"[A-Za-z0-9_-]{1,64}", "the name of a kernel module, as in module:vhost_net"),
    Kind.DEVICE: (r"/dev/[^\x00-\x1f\x7f]+", "a device, as in device:/dev/vfio/vfio"),
    Kind.COMMAND: (
        r"[A-Za-z0-9_.+\[-][A-Za-z0-9_.+-]{0,63}",
        "a command's name without a path, as in command:trace-cmd",
    ),
    Kind.FILE: (r"/[^\x00-\x1f\x7f]*", "an absolute path, as in file:/sys/kernel/tracing"),
}
"""The named things, each with the pattern of its name and a text for messages."""

KNOWN = (
    "kvm",
    "el2",
    *(f"{kind.value}:{'|'.join(values)}" for kind, values in _CHOICES.items()),
    "cpus>=NUMBER",
    "memory>=MIB",
    "qemu>=VERSION",
    "module:NAME",
    "device:/dev/NAME",
    "command:NAME",
    "file:/PATH",
)
"""Every word, as messages list them."""

_WORD = re.compile(r"\s*([^\s:<>=!~]+)\s*(?:(:|[<>=!~]+)\s*(.*?))?\s*", re.DOTALL)


class UnknownRequirement(ValueError):
    """Text that is none of the words; the message has the expected form."""


def parse_requirement(text: str) -> Requirement:
    """Return the requirement that a word means; raises `UnknownRequirement`."""
    found = _WORD.fullmatch(text)
    kinds = {kind.value: kind for kind in Kind}
    if found is None or found[1] not in kinds:
        raise UnknownRequirement(unknown(text, KNOWN, "requirement"))
    kind, sign, value = kinds[found[1]], found[2] or "", found[3] or ""
    if kind in _CHOICES:
        return _chosen(kind, sign, value, text)
    if kind in _LEAST:
        return _at_least(kind, sign, value, text)
    if kind in _NAMED:
        return _named(kind, sign, value, text)
    if sign:
        raise UnknownRequirement(f"expected {kind.value} alone, got {shown(text)}")
    return Requirement(kind)


def parse_requirements(words: Iterable[str]) -> tuple[Requirement, ...]:
    """Return the requirements that checked words mean, each once."""
    return tuple(dict.fromkeys(map(parse_requirement, words)))


def word_problems(place: str, words: Iterable[str]) -> Iterator[str]:
    """Yield the problems of the words that stand at `place`, each with its own place."""
    chosen: dict[Kind, Requirement] = {}
    for index, word in enumerate(words):
        try:
            requirement = parse_requirement(word)
        except UnknownRequirement as error:
            yield f"{place}[{index}]: {error}"
            continue
        before = chosen.setdefault(requirement.kind, requirement)
        if requirement.kind in _CHOICES and before != requirement:
            yield f"{place}[{index}]: no host has both {before} and {requirement}; remove one"


def _chosen(kind: Kind, sign: str, value: str, text: str) -> Requirement:
    choices = _CHOICES[kind]
    if sign != ":":
        raise UnknownRequirement(f"expected {kind.value}:{'|'.join(choices)}, got {shown(text)}")
    if value not in choices:
        raise UnknownRequirement(unknown(value, choices, kind.value))
    return Requirement(kind, value)


def _at_least(kind: Kind, sign: str, value: str, text: str) -> Requirement:
    pattern, expected = _LEAST[kind]
    if sign != ">=":
        raise UnknownRequirement(
            f"expected {kind.value}>=, the only comparison, and {expected}, got {shown(text)}"
        )
    if not re.fullmatch(pattern, value):
        raise UnknownRequirement(f"expected {expected}, got {shown(text)}")
    return Requirement(kind, value)


def _named(kind: Kind, sign: str, value: str, text: str) -> Requirement:
    pattern, expected = _NAMED[kind]
    if sign != ":" or not re.fullmatch(pattern, value):
        raise UnknownRequirement(f"expected {expected}, got {shown(text)}")
    # The kernel takes a dash in a module's name for an underscore.
    return Requirement(kind, value.replace("-", "_") if kind is Kind.MODULE else value)
