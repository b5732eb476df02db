# SPDX-License-Identifier: MIT
"""Boot commands: the dialogue with a boot loader, as lists in the configuration and in jobs."""

from __future__ import annotations

import enum
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from lava_vmgroup.base.errors import ConfigurationError

_TAG = re.compile(r"(?<!\$)\{([A-Z][A-Z0-9_]*)\}")


class CommandKind(enum.Enum):
    """The use of a command's text; each value but the first is the word that begins its line."""

    AT_PROMPT = "at prompt"
    """Wait for the boot loader's prompt, then send the text as a line."""
    SEND_LINE = "sendline"
    """Send the text as a line without waiting."""
    SEND_CONTROL = "sendcontrol"
    """Send the control character of the text's one letter."""
    EXPECT = "expect"
    """Wait for the text, which is taken literally."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootCommand:
    """One step of the dialogue with a boot loader."""

    kind: CommandKind
    text: str


def parse_list(text: str, place: str) -> tuple[BootCommand, ...]:
    """Read a command list of the configuration: commands separated by commas, quoted as in a shell.

    Quotes are removed and the text in them is kept.  So a U-Boot command that needs quotes itself
    is quoted twice.  Raises ConfigurationError for unbalanced quotes or a bad command; `place`, the
    file and key, begins its message.
    """
    splitter = shlex.shlex(text, posix=True)
    splitter.whitespace = ","
    splitter.whitespace_split = True
    splitter.commenters = ""  # a "#" is a prompt or a part of a command
    try:
        lines = [" ".join(item.splitlines()).strip() for item in splitter]
    except ValueError as error:
        raise ConfigurationError(
            f"{place}: expected commands separated by commas, but: {error}",
            hint="balance the quotes; write an apostrophe inside double quotes",
        ) from error
    return parse_lines(filter(None, lines), place=place)


def format_list(lines: Iterable[str]) -> str:
    """Return commands as a command list of the configuration, the text that `parse_list` reads."""
    return ",\n".join('"' + re.sub(r'(["\\])', r"\\\1", line) + '"' for line in lines)


def parse_lines(lines: Iterable[str], *, place: str) -> tuple[BootCommand, ...]:
    """Read commands that are separate already, such as a job's own list.

    Raises ConfigurationError for a ``sendcontrol`` without exactly one character and an ``expect``
    without text; `place` begins its message.
    """
    return tuple(_parse_line(line, place) for line in lines)


def _parse_line(line: str, place: str) -> BootCommand:
    word, _, text = line.partition(" ")
    try:
        kind = CommandKind(word)
    except ValueError:
        return BootCommand(kind=CommandKind.AT_PROMPT, text=line)
    if kind is CommandKind.SEND_CONTROL and len(text) != 1:
        raise ConfigurationError(
            f"{place}: {line!r} does not name one control character",
            hint="write for example: sendcontrol c",
        )
    if kind is CommandKind.EXPECT and not text:
        raise ConfigurationError(
            f"{place}: expect has no text to wait for", hint="write for example: expect Start:"
        )
    return BootCommand(kind=kind, text=text)


def repeated(
    commands: Sequence[BootCommand],
    tag: str,
    block: Sequence[BootCommand],
    each: str,
    values: Iterable[str],
) -> tuple[BootCommand, ...]:
    """Replace the command that is a `tag` by a `block` for each of the `values` of the tag `each`.

    Without values, the command is left out.
    """
    place, item = f"{{{tag}}}", f"{{{each}}}"
    blocks = [
        replace(command, text=command.text.replace(item, value))
        for value in values
        for command in block
    ]
    return tuple(
        one for command in commands for one in (blocks if command.text == place else [command])
    )


def substitute(commands: Iterable[BootCommand], tags: Mapping[str, str]) -> tuple[BootCommand, ...]:
    """Replace ``{KERNEL}``, ``{SERVER_IP}`` and so on by their values in `tags`.

    An empty value means that the job has no such file.  An at-prompt command with such a tag is
    left out, so that one list serves jobs with and without a ramdisk.  U-Boot's ``${variable}`` is
    no tag.  Raises ConfigurationError for a tag that `tags` does not have.
    """
    return tuple(
        replace(command, text=_TAG.sub(lambda tag: tags[tag[1]], command.text))
        for command in commands
        if _wanted(command, tags)
    )


def _wanted(command: BootCommand, tags: Mapping[str, str]) -> bool:
    names = _TAG.findall(command.text)
    for name in names:
        if name not in tags:
            raise ConfigurationError(
                f"the boot command {command.text!r} has the unknown tag {{{name}}}",
                hint=f"known tags: {', '.join(sorted(tags))}",
            )
    return command.kind is not CommandKind.AT_PROMPT or all(tags[name] for name in names)


def names_root(text: str) -> bool:
    """Return True if the last ``root=`` in a text names a root file system beside the ramdisk."""
    roots = re.findall(r"(?<!\w)root=[\"']?([^\s\"']+)", text)
    return bool(roots) and not re.match(r"/dev/ram\d*$", roots[-1])


def kernel_arguments(text: str) -> str:
    """Return the kernel's command line from a VM type's ``boot_cmds``.

    The text is no command list: the comma in ``console=ttyAMA0,38400n8`` belongs to the word.  But
    v1 wrote it as one: a comma that ends a word separated items, and quotes around the whole text
    protected commas.  Both are dropped.
    """
    words = [word.rstrip(",") for word in text.split()]
    line = " ".join(word for word in words if word)
    quoted = re.fullmatch(r"""(["'])((?:(?!\1).)*)\1""", line)
    return quoted[2] if quoted else line
