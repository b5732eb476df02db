# SPDX-License-Identifier: MIT
"""The entries of a ``grub.cfg``, in the order in which they are tried.

The file is a program for GRUB's shell.  Its menu entries are read as they stand there, with the
values that the file gives to its variables.  Conditions are not evaluated, except for that on
``next_entry`` and those for fallbacks.  If a variable is set several times, the last value counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from lava_vmgroup.deploy.boot_entries import BootEntry, Menu
from lava_vmgroup.deploy.grub_variables import GrubVariables, is_fallback

_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r]+)
    | (?P<comment>\#[^\n]*)
    | (?P<mark>[\n;{}])
    | (?P<word>(?:\$\{[^}]*\} | '[^']*' | "(?:\\.|[^"\\])*" | \\[^\n] | [^\s;{}'"\\])+)
    | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_QUOTED = re.compile(r"""'([^']*)'|"((?:\\.|[^"\\])*)"|\\(.)""", re.DOTALL)
_CONTINUED = re.compile(r"\\\r?\n")
_WORDS_AHEAD = frozenset({"then", "else", "do"})
_DEVICE = re.compile(r"""\A("?)\([^()]*\)(?=/)""")  # ($root), (hd0,gpt2)
_OWN_FOLDER = re.compile(r"\A\$(?:\{(?:config_directory|prefix)\}|config_directory|prefix)(?=/)")
_ONCE = "next_entry"
_OF_GRUBENV = ("saved_entry", _ONCE)
_ID_OPTIONS = ("--id", "$menuentry_id_option", "${menuentry_id_option}")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_PLACEHOLDER = "\1"  # for a ">" that stands in a title


@dataclass(slots=True)
class _Item:
    """An entry or a submenu, with the title and the id by which others name it."""

    names: tuple[str, ...] = ()
    entry: BootEntry | None = None
    items: list[_Item] = field(default_factory=list)
    variables: GrubVariables = field(default_factory=GrubVariables)


def grub(text: str, variables: GrubVariables) -> Menu:
    """Read the literal entries of a ``grub.cfg``; `variables` are those of its ``grubenv``."""
    top = _Item(variables=variables_after(text, variables))
    menu = Menu()
    blocks = [top]
    for words, opens in _commands(text):
        if opens is False:
            if len(blocks) > 1:
                blocks.pop()
        elif opens:
            blocks.append(_opened(words, blocks[-1], menu))
        elif len(blocks) > 1 and (found := _assigned(words)):
            blocks[-1].variables.assign(*found)
        elif blocks[-1].entry is not None:
            entry = _into_entry(blocks[-1].entry, words, blocks[-1].variables)
            menu.entries[menu.entries.index(blocks[-1].entry)] = entry
            blocks[-1].entry = entry
    wanted = default_of(text, variables.values) or "0"
    chosen = _chosen(top, wanted)
    menu.default = wanted if chosen is None else chosen.name
    menu.warnings += [
        f"the default entry depends on `if {condition}`, which is taken to hold"
        for _, condition in _defaults(text)
        if condition and _ONCE not in condition
    ]
    return menu


def default_of(text: str, variables: Mapping[str, str]) -> str:
    """Return the default entry that a ``grub.cfg`` sets; empty for the first one."""
    default = ""
    for value, _ in _defaults(text):
        variable = _VARIABLE.fullmatch(value)
        if variable is None:
            default = value
            continue
        name = variable[1] or variable[2]
        default = variables.get(name, "" if name in _OF_GRUBENV else value)
        if name == _ONCE and default:  # it precedes any other
            return default
    return default


def variables_after(text: str, variables: GrubVariables) -> GrubVariables:
    """Return the variables when GRUB has run a ``grub.cfg`` and shows its menu.

    `variables` are those of its ``grubenv``.
    """
    after = variables.copy()
    for name, word, condition in _assignments(text):
        if not is_fallback(name, condition):
            after.assign(name, word, condition)
        elif not after.values.get(name):
            after.assign(name, word)
    return after


def reads_entries(text: str) -> bool:
    """Return whether a ``grub.cfg`` takes its menu from files in loader/entries.

    One without entries of its own may only lead to the file that does.
    """
    commands = [words[0] for words, _ in _commands(text) if words]
    return "blscfg" in commands or "menuentry" not in commands


def sourced(text: str, folder: str) -> Iterator[str]:
    """Yield the files that a ``grub.cfg`` in `folder` reads, but for names that GRUB computes."""
    for words, _ in _commands(text):
        if words[:1] in (["source"], ["."], ["configfile"]) and len(words) > 1:
            name = _DEVICE.sub(r"\1", _OWN_FOLDER.sub(folder, _plain(words[1])))
            if "$" not in name:
                yield name


def _defaults(text: str) -> Iterator[tuple[str, str]]:
    """Yield the values that ``default`` is given, each with the condition that it depends on."""
    for name, word, condition in _assignments(text):
        if name == "default":
            yield _plain(word), condition


def _assignments(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield names of variables with the words of their values and the conditions around them.

    Functions and entries are left out: GRUB runs them when they are called or chosen.
    """
    conditions: list[str] = []
    depth = 0
    for words, opens in _commands(text):
        if opens is not None:
            depth = max(0, depth + (1 if opens else -1))
        elif words[0] == "if":
            conditions.append(" ".join(words[1:]))
        elif words[0] == "fi":
            del conditions[-1:]
        elif not depth and (found := _assigned(words)):
            yield *found, conditions[-1] if conditions else ""


def _assigned(words: list[str]) -> tuple[str, str] | None:
    """Return the name and the value's word of a command that sets a variable."""
    word = words[1] if words[0] == "set" and len(words) > 1 else words[0]
    found = _ASSIGNMENT.fullmatch(word)
    return (found[1], found[2]) if found else None


def _commands(text: str) -> Iterator[tuple[list[str], bool | None]]:
    """Yield each command's words, with quotes; True if it opens a block, False if it ends one."""
    words: list[str] = []
    for token in _TOKEN.finditer(_CONTINUED.sub("", text)):
        if token["word"]:
            words.append(token["word"])
        elif token["mark"]:
            while words and words[0] in _WORDS_AHEAD:
                words.pop(0)
            if words or token["mark"] == "{":
                yield words, True if token["mark"] == "{" else None
            if token["mark"] == "}":
                yield [], False
            words = []
    if words:
        yield words, None


def _opened(words: list[str], menu_item: _Item, menu: Menu) -> _Item:
    """Return the block that a command opens; if it is an entry or a submenu, add it to the menu."""
    if words[:1] not in (["menuentry"], ["submenu"]) or len(words) == 1:
        return _Item()
    item = _Item(names=tuple(_names(words)), variables=menu_item.variables.copy())
    if words[0] == "menuentry":
        item.entry = BootEntry(name=f"entry {len(menu.entries)}")
        menu.entries.append(item.entry)
    menu_item.items.append(item)
    return item


def _names(words: list[str]) -> Iterator[str]:
    yield _plain(words[1])
    for option, value in zip(words, [*words[1:], ""], strict=True):
        if option in _ID_OPTIONS:
            yield _plain(value)
        elif option.startswith("--id="):
            yield _plain(option.removeprefix("--id="))


def _chosen(top: _Item, wanted: str) -> BootEntry | None:
    """Return the entry at a path such as ``1>2`` or ``submenu's title>entry's id``."""
    item = top
    for step in wanted.replace(">>", _PLACEHOLDER).split(">"):
        name = step.replace(_PLACEHOLDER, ">")
        found = _named(item, name)
        if found is None:
            return None
        item = found
        if item.entry is not None:
            return item.entry
    while item.entry is None and item.items:  # a submenu starts its first item
        item = item.items[0]
    return item.entry


def _named(menu_item: _Item, name: str) -> _Item | None:
    if name.isdecimal():
        return next(iter(menu_item.items[int(name) :]), None)
    return next((item for item in menu_item.items if name in item.names), None)


def _into_entry(entry: BootEntry, words: list[str], variables: GrubVariables) -> BootEntry:
    told = list(entry.warnings)
    if words[0] in ("linux", "linux16", "linuxefi"):
        kernel, *arguments = [*_paths(words[1:2], variables, told), ""]
        arguments += [one for word in words[2:] for one in variables.words(word, told)]
        append = " ".join(_argument(one) for one in arguments if one)
        return replace(entry, kernel=kernel, append=append, warnings=tuple(told))
    if words[0] in ("initrd", "initrd16", "initrdefi"):
        initrds = tuple(_paths(words[1:], variables, told))
        return replace(entry, initrds=initrds, warnings=tuple(told))
    return entry


def _paths(words: list[str], variables: GrubVariables, told: list[str]) -> list[str]:
    """Return the paths that words stand for, without their devices."""
    # A device is removed first, as nobody needs the value of ($root).
    named = [variables.words(_DEVICE.sub(r"\1", word), told) for word in words]
    return [_DEVICE.sub(r"\1", path) for paths in named for path in paths]


def _plain(word: str) -> str:
    """Return a word without its quotes."""
    return _QUOTED.sub(lambda found: found[1] or found[2] or found[3] or "", word)


def _argument(text: str) -> str:
    """Return an argument as GRUB passes it to the kernel: in double quotes if it has blanks."""
    return f'"{text}"' if re.search(r"\s", text) else text
