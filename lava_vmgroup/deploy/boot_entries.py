# SPDX-License-Identifier: MIT
"""The entries of boot loaders' configuration files, in the order in which they are tried.

``extlinux.conf`` is read as U-Boot's ``sysboot`` reads it, odd rules included; the entries of the
Boot Loader Specification as systemd-boot and GRUB do; of ``grub.cfg``, which is a program, only
what stands there literally.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

_MAX_NESTED = 16  # as many as U-Boot follows
_VARIABLE = re.compile(r"\$\{[^}]*\}|\$\([^)]*\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One system that a boot loader offers; paths are as its configuration has them."""

    name: str
    kernel: str = ""
    initrds: tuple[str, ...] = ()
    append: str = ""


@dataclass(slots=True)
class Menu:
    """The entries of a configuration file."""

    entries: list[Entry] = field(default_factory=list)
    default: str | None = None

    def in_order(self) -> list[Entry]:
        """Return the entries: the default one, of several the last, and the others after it."""
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
            menu.entries.append(Entry(name=value))
            in_label = True
        elif in_label and _into_label(menu, keyword, value):
            continue
        else:
            # U-Boot leaves an entry at the first keyword that is none of an entry's.
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
    """Read a line of the last entry; return whether it is one of an entry's."""
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


def boot_loader_specification(
    texts: Mapping[str, str], default: str, variables: Mapping[str, str]
) -> Menu:
    """Read entry files by their names without ``.conf``.

    `default` is a pattern of names, `variables` are GRUB's, such as ``kernelopts``.
    """
    entries = {}
    for name, text in texts.items():
        found: dict[str, list[str]] = {}
        for key, value in _keywords(text):
            found.setdefault(key, []).append(value)
        entry = Entry(
            name=name,
            kernel=found.get("linux", [""])[-1],
            initrds=tuple(_literal(" ".join(found.get("initrd", [])), {}).split()),
            append=_literal(" ".join(found.get("options", [])), variables),
        )
        entries[_version(found.get("version", [name])[-1]), name] = entry
    newest_first = [entries[key] for key in sorted(entries, reverse=True)]
    pattern = default.removesuffix(".conf")
    chosen = [one.name for one in newest_first if fnmatch.fnmatch(one.name, pattern)]
    return Menu(newest_first, chosen[0] if chosen else pattern or None)


def _version(text: str) -> tuple[tuple[int, str], ...]:
    """Return a key that sorts version 10 behind version 9."""
    words = re.findall(r"[0-9]+|[a-zA-Z]+", text)
    return tuple((int(word), "") if word.isdigit() else (-1, word) for word in words)


def variables_of(text: str) -> dict[str, str]:
    """Read a ``grubenv``."""
    lines = [line for line in text.splitlines() if "=" in line and not line.startswith("#")]
    return {key: value for key, _, value in (line.partition("=") for line in lines)}


def _literal(text: str, variables: Mapping[str, str]) -> str:
    """Return a line of GRUB's with the variables that are known, without words of others."""
    for name, value in variables.items():
        text = text.replace(f"${{{name}}}", value)
        text = re.sub(rf"\${re.escape(name)}\b", value.replace("\\", r"\\"), text)
    return " ".join(word for word in text.split() if "$" not in word)


_MENUENTRY = re.compile(r"""menuentry\s+(?:'([^']*)'|"([^"]*)"|(\S+))(.*)""")
_ID = re.compile(r"""(?:--id|\$\{?menuentry_id_option\}?)[ =]+(?:'([^']*)'|"([^"]*)"|(\S+))""")
_DEFAULT = re.compile(r"""set default="?([^"$]+?)"?$""")


def grub(text: str, variables: Mapping[str, str]) -> Menu:
    """Read the literal entries of a ``grub.cfg``."""
    menu = Menu()
    names: dict[str, str] = {}
    in_entry = in_submenu = False
    position = 0
    for line in map(str.strip, text.splitlines()):
        if (found := _DEFAULT.match(line)) is not None:
            menu.default = found[1]
        elif (found := _MENUENTRY.match(line)) is not None:
            entry = Entry(name=f"entry {len(menu.entries)}")
            menu.entries.append(entry)
            titles = [found, _ID.search(found[4])]
            names |= {one[1] or one[2] or one[3]: entry.name for one in titles if one}
            if not in_submenu:  # a number counts the menu's own items
                names[str(position)] = entry.name
                position += 1
            in_entry = True
        elif line.startswith("submenu "):
            position, in_submenu = position + 1, True
        elif line == "}":
            in_entry, in_submenu = False, in_submenu and in_entry
        elif in_entry and line:
            menu.entries[-1] = _into_entry(menu.entries[-1], line.split(), variables)
    wanted = variables.get("saved_entry") or menu.default or "0"
    menu.default = names.get(wanted.split(">")[-1], wanted)
    return menu


def _into_entry(entry: Entry, words: list[str], variables: Mapping[str, str]) -> Entry:
    if words[0] in ("linux", "linux16", "linuxefi") and len(words) > 1:
        append = _literal(" ".join(words[2:]), variables)
        return replace(entry, kernel=words[1], append=append)
    if words[0] in ("initrd", "initrd16", "initrdefi"):
        return replace(entry, initrds=tuple(word for word in words[1:] if "$" not in word))
    return entry
