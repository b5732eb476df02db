# SPDX-License-Identifier: MIT
"""Writes the pages of the reference, and the ``device-defaults.conf`` that the package ships.

The schemas in ``lava_vmgroup/job`` describe jobs and sub-jobs; the base classes of `DeviceConfig`
describe the keys of devices.
"""

from __future__ import annotations

import ast
import enum
import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from textwrap import indent, wrap
from typing import Any

from lava_vmgroup.config import typed
from lava_vmgroup.config.boot_keys import LoadAddresses
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.job import schema, sub_job

_ROOT = Path(__file__).parents[1]
_DEFAULTS = "lava_vmgroup/default-config/lava-dispatcher/device-defaults.conf"
_HEAD = """\
.. Written by ``python docs/reference.py`` from what ``lava_vmgroup/job/{module}.py`` says.
"""
_KINDS = {
    "array": "list",
    "boolean": "true or false",
    "integer": "whole number",
    "number": "number",
    "object": "object",
    "string": "string",
}
_VALUES = {
    str: "",
    bool: "yes or no",
    typed.Regex: "regex",
    typed.Seconds: "seconds",
    typed.Scale: "number from 1 to 100",
    typed.Count: "whole number, 0 or more",
    typed.Positive: "whole number, 1 or more",
    typed.Port: "port",
    Path: "absolute path",
    typed.RemoteFolder: "absolute path",
    typed.ShellWords: "words, quoted as in a shell",
    typed.Sections: "list of sections",
    LoadAddresses: "list: kernel, ramdisk, device tree",
    tuple[str, ...]: "list",
    tuple[typed.Regex, ...]: "list of regexes",
    tuple[Path, ...]: "list of absolute paths",
}
_SYNTAX = """\
``device-defaults.conf`` has each key with its default. ``device-types/<type>.conf``,
``devices/<name>.conf`` and the file of ``--config`` are read after it, in this order; a later file
overrides an earlier one.

A line that begins with ``#`` or ``;`` is a comment. Nothing else is: a ``#`` or ``;`` further on
belongs to the value. Indented lines go on with a value. ``%(key)s`` stands for another key's value
and ``%%`` for a percent sign; ``${NAME}`` and ``${NAME:-default}`` stand for the environment if the
name is all upper case, and ``$$NAME`` for ``$NAME``.

A regex is a Python regular expression. A list is a JSON array or has one item a line. Commands run
in a shell on the dispatcher's machine, except those that are typed at a prompt. An empty value
means none.
"""
_WIDTH = 96


@dataclass(frozen=True)
class _Key:
    """A key of devices."""

    name: str
    values: str
    """The values that it takes, reStructuredText; "" for any text."""
    default: str
    """The default, written as in a file."""
    description: str
    """The description, reStructuredText whose only markup is of literals."""


def written() -> dict[Path, str]:
    """Return each written file with its content."""
    sections = dict(_sections())
    return {
        _ROOT / "docs/job-keys.rst": _job_keys(),
        _ROOT / "docs/sub-job-keys.rst": _sub_job_keys(),
        _ROOT / "docs/device-keys.rst": _device_keys(sections),
        _ROOT / _DEFAULTS: _device_defaults(sections),
    }


def _sub_job_keys() -> str:
    more = sub_job.SUB_JOB_SCHEMA["properties"].keys() - schema.JOB_SCHEMA["properties"].keys()
    keys = {
        **sub_job.SUB_JOB_SCHEMA,
        "properties": {
            name: value
            for name, value in sub_job.SUB_JOB_SCHEMA["properties"].items()
            if name in more
        },
    }
    return "\n".join([_HEAD.format(module="sub_job"), *_keys(keys)]) + "\n"


def _job_keys() -> str:
    sections = {
        "Top level": schema.JOB_SCHEMA,
        "vm_group": schema.VM_GROUP_SCHEMA,
        "vm_group.host": schema.HOST_SCHEMA,
        "vm_group.vms": schema.VM_SCHEMA,
        "actions": schema.ACTION_SCHEMA,
        "console_watch": schema.WATCH_SCHEMA,
        "console_watch.patterns": schema.WATCH_PATTERN_SCHEMA,
        "Parameters of every action": {"properties": schema.ACTION_PARAMETERS},
    }
    lines = [_HEAD.format(module="schema")]
    for title, part in sections.items():
        lines += [title, "~" * len(title), "", *_keys(part), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _keys(part: Mapping[str, Any]) -> Iterator[str]:
    for name, value in part["properties"].items():
        facts = [_kind(value)]
        if name in part.get("required", ()):
            facts.append("mandatory")
        if "default" in value:
            facts.append(f"{_shown(value['default'])} by default")
        yield f"``{name}`` ({', '.join(filter(None, facts))})"
        yield from (f"    {line}" for line in _wrapped(value["description"]))


def _kind(value: Mapping[str, Any]) -> str:
    if "enum" in value:
        return ", ".join(f"``{choice}``" for choice in value["enum"])
    if "anyOf" in value:
        return " or ".join(_kind(one) for one in value["anyOf"])
    if "type" not in value:
        return "string" if "const" not in value else _shown(value["const"])
    kind = value["type"]
    kinds = [_KINDS[one] for one in ([kind] if isinstance(kind, str) else kind)]
    low, high = value.get("minimum"), value.get("maximum")
    limits = f" from {low} to {high}" if low is not None and high is not None else ""
    return " or ".join(kinds) + limits


def _shown(value: Any) -> str:
    return f"``{str(value).lower() if isinstance(value, bool) else value}``"


def _sections() -> Iterator[tuple[str, list[_Key]]]:
    """Yield the title of each section of device keys with its keys, in the order of the fields."""
    hints = typing.get_type_hints(DeviceConfig, include_extras=True)
    texts, defaults = typed.default_texts(DeviceConfig), DeviceConfig()
    for section in reversed(DeviceConfig.__mro__[1:-1]):
        descriptions = _descriptions(section)
        yield (
            (section.__doc__ or "").rstrip("."),
            [
                _Key(
                    name=name,
                    values=_values(hints[name]),
                    default=_default(getattr(defaults, name), texts[name]),
                    description=descriptions[name],
                )
                for name in section.__annotations__
            ],
        )


def _descriptions(section: type) -> dict[str, str]:
    """Return the fields of a class that have a string below them, each with this string."""
    (definition,) = ast.parse(inspect.getsource(section)).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for field, text in pairwise(definition.body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(description))):
                found[name] = " ".join(description.split())
    return found


def _values(hint: Any) -> str:
    if typing.get_origin(hint) is types.UnionType:  # None is the empty text
        return _values(typing.get_args(hint)[0])
    if hint in _VALUES:
        return _VALUES[hint]
    several = typing.get_origin(hint) is tuple
    members: type[enum.Enum] = typing.get_args(hint)[0] if several else hint
    choices = ", ".join(f"``{member.value}``" for member in members)
    return f"{'words' if several else 'one'} of {choices}"


def _default(value: Any, text: str) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
    return text


def _device_keys(sections: Mapping[str, Sequence[_Key]]) -> str:
    lines = [
        ".. Written by ``python docs/reference.py`` from the keys in ``lava_vmgroup/config``.",
        "",
        "Device keys",
        "===========",
        "",
        _SYNTAX,
    ]
    for title, keys in sections.items():
        lines += [title, "-" * len(title), ""]
        for key in keys:
            lines += _as_rst(key)
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def _as_rst(key: _Key) -> Iterator[str]:
    is_block = "\n" in key.default
    default = f"``{key.default}`` by default" if key.default and not is_block else ""
    facts = ", ".join(filter(None, (key.values, default)))
    yield f"``{key.name}`` ({facts})" if facts else f"``{key.name}``"
    yield from (f"    {line}" for line in _wrapped(key.description))
    if is_block:
        yield f"\n    By default::\n\n{indent(key.default, ' ' * 8)}\n"


def _device_defaults(sections: Mapping[str, Sequence[_Key]]) -> str:
    head = (
        "The defaults of every device and device type. Written by docs/reference.py from the keys "
        "in lava_vmgroup/config. A lab leaves this file alone and sets keys in its own files."
    )
    lines = []
    for paragraph in (head, *_SYNTAX.split("\n\n")):
        lines += [*_comment(paragraph), "#"]
    lines[-1] = ""
    for title, keys in sections.items():
        lines.append(f"# --- {title} ---")
        for key in keys:
            values = f"({key.values}) " if key.values else ""
            lines += _comment(values + key.description)
            lines.append(f"#{_setting(key)}")
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def _setting(key: _Key) -> str:
    if "\n" in key.default:
        return f"{key.name} =\n" + indent(key.default, "#    ")
    return f"{key.name} = {key.default}".rstrip()


def _comment(text: str) -> Iterator[str]:
    """Yield the lines of a comment that says `text`; a literal of several words gets quotes."""
    plain = re.sub(r"``(\S+)``", r"\1", text)
    plain = re.sub(r"``(.+?)``", r'"\1"', plain, flags=re.DOTALL)
    return (f"# {line}" for line in _wrapped(plain, _WIDTH + 2))


def _wrapped(text: str, width: int = _WIDTH) -> list[str]:
    return wrap(text, width, break_on_hyphens=False)


if __name__ == "__main__":
    for path, content in written().items():
        path.write_text(content, encoding="utf-8")
