# SPDX-License-Identifier: MIT
"""The dialogue with a boot loader: its prompt, and its messages when it fails.

Other text can look like a prompt: ``tftpboot`` draws hash marks, an echo repeats typed text, and a
banner begins with the loader's name.  So a prompt must stand on a line of its own after the echo,
and the console must then be quiet for a moment.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import DeadlineExpired, InfrastructureError
from lava_vmgroup.base.user_pattern import UserPattern
from lava_vmgroup.config.commands import BootCommand, CommandKind
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.escapes import plain
from lava_vmgroup.console.events import Match
from lava_vmgroup.console.prompts import Anywhere, LastLine, is_quiet, line_of, swallow

_QUIET_S = 0.3
_BACK_QUIET_S = 1.5
_PROGRESS = re.compile(r"\s|[^:]{1,40}:\s|.*##")
"""The beginning of lines that report progress, such as of a download."""
_END = re.compile(r"[\s#$>=:%\])]{0,4}$")
"""The characters that may follow the prompt's match."""

_COMPLAINTS = re.compile(
    r"(?m)^\s*((?:"
    r"TFTP error: |TFTP server died|Retry count exceeded|ARP Retry count exceeded|T T T T T T"
    r"|Abort$|ping failed; |\*\*\* ERROR: |\*\* |## Error|ERROR: |ERROR: Did not find"
    r"|Bad Linux |Bad Magic Number|Bad Header Checksum|Bad Data CRC|Bad gzipped data"
    r"|Wrong (?:Ramdisk )?Image (?:Format|Type)|Wrong image format|Ramdisk image is corrupt"
    r"|Unknown (?:command|image)|Unsupported Architecture|SCRIPT FAILED|Invalid partition"
    r"|FDT and ATAGS support not compiled in|Could not find a valid device tree"
    r"|failed on fdt_overlay_apply|libfdt "
    r"|Failed to (?:load|mount|open)|File not found|No ethernet found|no card present"
    r"|MMC: no card|Card did not respond|[Nn]o (?:mmc|MMC|SD) (?:card|device)"
    r"|Can't set block device|Couldn't find partition|No (?:EFI|UEFI) "
    r"|Command '[^']{1,40}' failed|fatal: "
    r"|Error: |Error reading|zimage: Bad magic|Image lacks|Loading file .{1,100} failed"
    r").{0,200})"
)
_NOT_LOADED = re.compile(
    r"(?m)^\s*(?:TFTP error: |.{0,80}etry count exceeded|\*\* |Failed to load|File not found"
    r"|Can't set block device|Couldn't find partition|No ethernet found)|T T T T T T"
)
_NOT_APPLIED = re.compile(r"(?m)^\s*(?:failed on fdt_overlay_apply|.{0,60}FDT_ERR_|Usage:)")
_LOADED = re.compile(r"[Bb]ytes (?:transferred|read|written)")
_MINOR = re.compile(r"No (?:EFI|UEFI) ")
_PASSING = re.compile(
    r"TFTP server died|etry count exceeded|T T T T|No ethernet|respond|no card|Abort|ping"
)
"""Complaints that may not come again at a second try."""
_HANGS = r"### ERROR ### Please RESET the board ###"


class LoaderFailed(InfrastructureError):
    """The error for a boot loader that refuses a command; a second try would fail, too."""


class BootLoader:
    """A boot loader on its console."""

    def __init__(self, console: Console, config: DeviceConfig) -> None:
        self._console = console
        self._config = config
        self._typed = ""
        self._said: list[str] = []

    def interrupt(self, deadline: Deadline) -> None:
        """Stop the countdown by the configured key, or else by the key that the message names.

        If the boot loader needs no interruption, wait for its prompt.  Raises `DeadlineExpired`.
        """
        config, console = self._config, self._console
        if not config.needs_interrupt:
            limit = deadline.sub("the boot loader's prompt", config.bootloader_timeout)
            self.await_prompt(limit)
            console.send_line("", limit)
            return
        limit = deadline.sub("the boot loader's autoboot message", config.bootloader_timeout)
        match = console.expect([config.interrupt_boot_prompt], limit)
        line = match.before.rpartition("\n")[2] + match.found[0]
        keys = config.interrupt_boot_command
        if letters := config.interrupt_boot_control_character:
            keys = "".join(map(control, letters))
        elif "interrupt_boot_command" not in config.sources:
            keys = key_named(line) or keys
        if config.interrupt_boot_newline:
            console.send_line(keys, limit)
        else:
            console.send(keys, limit)

    def talk(
        self, commands: Sequence[BootCommand], files: Collection[str], deadline: Deadline
    ) -> None:
        """Carry out boot commands, one after the other.

        Raises `InfrastructureError` if a command fails to load one of the job's `files`, and
        `DeadlineExpired`.
        """
        config, console = self._config, self._console
        for command in commands:
            limit = deadline.sub(
                f"the boot loader, before {command.text!r}", config.boot_cmd_timeout
            )
            match command.kind:
                case CommandKind.AT_PROMPT:
                    self.await_prompt(limit)
                    self._refuse_missing(files)
                    self._refuse_broken()
                    console.send_line(command.text, limit)
                    self._typed = command.text
                case CommandKind.SEND_LINE:
                    console.send_line(command.text, limit)
                    self._typed = command.text
                case CommandKind.SEND_CONTROL:
                    console.send(control(command.text), limit)
                case CommandKind.EXPECT:
                    console.expect([re.escape(command.text)], limit)
                    self._typed = ""

    def await_prompt(self, deadline: Deadline) -> None:
        """Block until the prompt shows, and consume it."""
        pattern = self._prompt
        while True:
            match = self._console.expect([pattern], deadline)
            self._remember(match)
            if is_quiet(self._console, match, _QUIET_S, deadline):
                swallow(self._console, deadline)
                return

    def await_kernel(self, deadline: Deadline) -> None:
        """Block until the kernel's first message; raise if the boot loader's prompt comes instead.

        Raises `InfrastructureError` then, and `DeadlineExpired`, with the boot loader's last
        complaint.
        """
        patterns: list[Any] = [
            Anywhere(self._config.image_boot_msg),
            self._prompt,
            Anywhere(_HANGS),
        ]
        try:
            while True:
                match = self._console.expect(patterns, deadline)
                if match.index == 0:
                    return
                self._remember(match)
                if match.index == 2:
                    raise self._failure("the boot loader has given up")
                if is_quiet(self._console, match, _BACK_QUIET_S, deadline):
                    raise self._failure(f"the boot loader is back at its prompt {line_of(match)!r}")
        except DeadlineExpired as error:
            self._said.append("\n".join(self._console.last_lines))
            if complaint := self._complaint():
                error.hint = f"the boot loader said: {complaint}"
            raise

    @property
    def _prompt(self) -> Any:
        pattern, typed = UserPattern(self._config.bootloader_prompt), self._typed
        return LastLine(lambda line: _is_prompt(_without_echo(line, typed), pattern))

    def _remember(self, match: Match) -> None:
        self._said.append(plain(match.before))

    def _complaint(self) -> str:
        """Return the boot loader's last complaint; a minor one only if there is no other."""
        found = [one[1].strip() for text in self._said for one in _COMPLAINTS.finditer(text)]
        found = [one for one in found if not _MINOR.match(one)] or found
        return found[-1] if found else ""

    def _refuse_missing(self, files: Collection[str]) -> None:
        if not any(name in self._typed for name in files):
            return
        found = list(_NOT_LOADED.finditer(self._said[-1]))
        # Many boot loaders try again by themselves.
        if found and _LOADED.search(self._said[-1], found[-1].end()) is None:
            raise self._failure("the boot loader cannot load a file of the job")

    def _refuse_broken(self) -> None:
        """Raise if a command about the device tree failed: U-Boot would go on with a broken one."""
        if self._typed.startswith("fdt ") and _NOT_APPLIED.search(self._said[-1]):
            raise self._failure("the boot loader cannot change the device tree")

    def _failure(self, what: str) -> InfrastructureError:
        lines = [line for text in self._said[-2:] for line in text.splitlines() if line.strip()]
        complaint = self._complaint() or (lines[-1].strip() if lines else "")
        kind = InfrastructureError if _PASSING.search(complaint) else LoaderFailed
        after = f" after {self._typed!r}" if self._typed else ""
        return kind(
            f"{what}{after}: {complaint}",
            hint="check the boot commands, and the TFTP server or the medium that they load from",
            last_lines=self._console.last_lines,
        )


_KEYS = (("space", " "), ("esc", "\x1b"), ("enter", "\r"), ("return", "\r"), ("ctrl", "\x03"))


def key_named(line: str) -> str:
    """Return the key that a message names for stopping autoboot; "" for any key, or none."""
    words = re.search(r"(?i)(?:press|hit|type)(.{1,40}?)(?:to|in)\b", line)
    named = words[1].lower() if words else ""
    if "any" in named:
        return ""
    quoted = re.search(r"['\"<]([a-z])['\">]", named)
    if quoted is not None and "ctrl" not in named:
        return quoted[1]
    return next((key for word, key in _KEYS if word in named), "")


def control(letter: str) -> str:
    """Return the control character of a letter."""
    return chr(ord(letter.upper()[0]) & 0x1F)


def _without_echo(line: str, typed: str) -> str:
    """Return the text of a line after the echo of `typed`; the echo may be incomplete."""
    line = line.lstrip()
    return "" if typed.startswith(line) else line.removeprefix(typed)


def _is_prompt(line: str, pattern: UserPattern) -> bool:
    """Return whether the boot loader waits at this line, by the pattern of its prompt."""
    # The lab's pattern may begin with the end of the line before.
    found = pattern.search(line) or pattern.search(f"\r\n{line}")
    if found is None or "##" in line:
        return False
    text = str(found.string)
    if not text[: found.start()].strip():
        return len(line) <= 80
    return _PROGRESS.match(line) is None and _END.match(text, found.end()) is not None
