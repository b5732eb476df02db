# SPDX-License-Identifier: MIT
"""The entries of boot loaders' configuration files, in the order in which they are tried.

``extlinux.conf`` is read as U-Boot's ``sysboot`` reads it, odd rules included.  The entries of the
Boot Loader Specification are read as systemd-boot and GRUB read them.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from lava_vmgroup.deploy.grub_variables import GrubVariables

_MAX_NESTED = 16  # as many as U-Boot follows
_VARIABLE = re.compile(r"\$\{[^}]*\}|\$\([^)]*\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class BootEntry:
    """One system that a boot loader offers, with the paths in its configuration."""

    name: str
    kernel: str = ""
    initrds: tuple[str, ...] = ()
    append: str = ""
    warnings: tuple[str, ...] = ()
    """Messages about values that are not certain."""


@dataclass(slots=True)
class Menu:
    """The entries of a configuration file."""

    entries: list[BootEntry] = field(default_factory=list)
    default: str | None = None
    warnings: list[str] = field(default_factory=list)

    def in_order(self) -> list[BootEntry]:
        """Return the entries, the default one first: it is the last of those with its name."""
        chosen = [entry for entry in self.entries if entry.name == self.default][-1:]
        return chosen + [entry for entry in self.entries if entry not in chosen]


def extlinux(text: str, read: Callable[[str], str | None]) -> Menu:
    """Read an ``extlinux.conf``; `read` returns the text of a file that it includes."""
    menu = Menu()
    _read_extlinux(text, read, menu, 1)
    return menu


def _read_extlinux(text: str, read: Callable[[str], str | None], menu: Menu, depth: int) -> None:
    in_label = False
    for keyword, value in _keywords(text):
        if keyword == "label" and value:
            menu.entries.append(BootEntry(name=value))
            in_label = True
        elif in_label and _into_label(menu, keyword, value):
            continue
        else:
            # In U-Boot, an entry ends at the first keyword that does not belong to one.
            in_label = False
            if keyword in ("default", "ontimeout") and value:
                menu.default = value
            elif (path := _included(keyword, value)) and depth < _MAX_NESTED:
                _read_extlinux(read(path) or "", read, menu, depth + 1)


def _included(keyword: str, value: str) -> str:
    """Return the file that an ``include`` or ``menu include`` names; "" for other lines."""
    if keyword == "menu":
        keyword, _, value = value.partition(" ")
    return value.strip() if keyword.lower() == "include" else ""


def _keywords(text: str) -> Iterable[tuple[str, str]]:
    for line in text.split("\n"):
        keyword, value = [*line.split(None, 1), "", ""][:2]
        if keyword and not keyword.startswith("#"):
            yield keyword.lower(), "" if value.startswith("#") else value.rstrip()


def _into_label(menu: Menu, keyword: str, value: str) -> bool:
    """Add a line to the last entry; return whether its keyword belongs to an entry."""
    entry = menu.entries[-1]
    match keyword:
        case "kernel" | "linux":
            entry = replace(entry, kernel=value.partition("#")[0])
        case "append":
            entry = replace(entry, append=_VARIABLE.sub("", value))
            if (found := re.search(r"initrd=(\S+)", value)) and not entry.initrds:
                entry = replace(entry, initrds=(found[1],))
        case "initrd":
            entry = entry if entry.initrds else replace(entry, initrds=(value,))
        case "menu":
            if value.lower().split() == ["default"] and menu.default is None:
                menu.default = entry.name
        case _:
            return keyword in _OF_AN_ENTRY
    menu.entries[-1] = entry
    return True


_OF_AN_ENTRY = frozenset(
    {
        *("fdt", "devicetree", "fdtdir", "devicetreedir", "fdtoverlays", "devicetree-overlay"),
        *("localboot", "ipappend", "kaslrseed", "say"),
    }
)
"""Keywords of an entry that are ignored here."""


def boot_loader_specification(
    texts: Mapping[str, str],
    default: str,
    variables: GrubVariables,
    architecture: str | None = None,
) -> Menu:
    """Read the files of entries; the keys of `texts` are their names without ``.conf``.

    `default` is a pattern of names or a number, `variables` are GRUB's, such as ``kernelopts``.  If
    `architecture`, the VM's, is known, entries for another one are left out.
    """
    entries = []
    for name, text in texts.items():
        found: dict[str, list[str]] = {}
        for key, value in _keywords(text):
            found.setdefault(key, []).append(value)
        wanted = _EFI_NAMES.get(architecture or "", "")
        if wanted and _last(found, "architecture").lower() not in ("", wanted):
            continue
        told: list[str] = []
        options = variables.filled(" ".join(found.get("options", [])), told)
        initrds = " ".join(found.get("initrd", [])).split()
        entry = BootEntry(
            name=_COUNTER.sub("", name),
            kernel=found.get("linux", [""])[-1],
            initrds=tuple(word for word in initrds if "$" not in word),
            append=" ".join(options.split()),
            warnings=tuple(told),
        )
        entries.append((name, found, entry))
    # Python's sort is stable: the rule that counts most comes last.
    entries.sort(key=lambda one: _version(one[2].name), reverse=True)
    entries.sort(key=lambda one: _version(_last(one[1], "version")), reverse=True)
    entries.sort(key=lambda one: (_last(one[1], "sort-key"), _last(one[1], "machine-id")))
    entries = _without_sort_key_last(entries)
    entries.sort(key=lambda one: _is_exhausted(one[0]))
    in_order = [entry for _, _, entry in entries]
    pattern = default.removesuffix(".conf")
    # systemd-boot compares without regard to case.
    chosen = [one.name for one in in_order if fnmatch.fnmatch(one.name.lower(), pattern.lower())]
    if not chosen and pattern.isdecimal():
        chosen = [one.name for one in in_order[int(pattern) :]]
    return Menu(in_order, chosen[0] if chosen else pattern or None)


_EFI_NAMES = {"aarch32": "arm", "aarch64": "aa64", "x86_64": "x64"}
"""The architectures of VMs, and the names that entries have for them."""

_Described = tuple[str, dict[str, list[str]], BootEntry]
_COUNTER = re.compile(r"\+(\d+)(?:-\d+)?$")
"""The numbers of tries that are left and that failed, at the end of an entry's name."""


def _without_sort_key_last(entries: list[_Described]) -> list[_Described]:
    """Move entries without ``sort-key`` behind the others, sorted by their names only."""
    others = [one for one in entries if not _last(one[1], "sort-key")]
    others.sort(key=lambda one: _version(one[2].name), reverse=True)
    return [one for one in entries if _last(one[1], "sort-key")] + others


def _last(found: Mapping[str, list[str]], key: str) -> str:
    return found.get(key, [""])[-1]


def _is_exhausted(name: str) -> bool:
    """Return whether an entry has no tries left, so that the boot loader has given it up."""
    counter = _COUNTER.search(name)
    return counter is not None and int(counter[1]) == 0


_RANKS = {"~": 0, "": 1, "-": 2, "^": 3, ".": 4}
_LETTERS, _DIGITS = 5, 6


def _version(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts as systemd does: 10 behind 9, and 6.10 behind 6.10~rc1."""
    words = [*re.findall(r"[0-9]+|[a-zA-Z]+|[-~^.]", text), ""]
    return tuple(
        (_DIGITS, int(word), "") if word.isdecimal() else (_RANKS.get(word, _LETTERS), 0, word)
        for word in words
    )
