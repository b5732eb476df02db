# SPDX-License-Identifier: MIT
"""The keys of hosts in files such as ``~/.ssh/known_hosts``, found as OpenSSH finds them.

``ssh-keygen -F HOST`` finds the same lines.  The format is in sshd(8), SSH_KNOWN_HOSTS FILE FORMAT.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lava_vmgroup.base.errors import ConfigurationError

_SSH_PORT = 22
_HASHED = "|1|"

HostKey = tuple[str, str]
"""A key's type, such as ``ssh-ed25519``, and the key in base64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKeys:
    """The keys of one host: those to accept, and those that are revoked."""

    accepted: tuple[HostKey, ...]
    revoked: tuple[HostKey, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    marker: str
    hosts: str
    key: HostKey


def known_keys(files: Sequence[Path], host: str, port: int) -> KnownKeys:
    """Return the keys of the host `host`:`port` in `files`.

    Skips the lines that OpenSSH skips.  If any file revokes a key for the host, the key is not
    accepted.  Raises `ConfigurationError` when a file cannot be read or no accepted key is left.
    """
    lines = [line for file in files for line in _lines_of(file)]
    found = _matching(lines, _name(host, port))
    if port != _SSH_PORT and not any(line.marker == "" for line in found):
        # OpenSSH then looks for the host without its port, too.
        found += _matching(lines, host)
    revoked = {line.key for line in found if line.marker == "@revoked"}
    accepted = [line.key for line in found if line.marker == "" and line.key not in revoked]
    if not accepted:
        raise _no_key(files, host, port, found)
    return KnownKeys(accepted=tuple(dict.fromkeys(accepted)), revoked=tuple(sorted(revoked)))


def _name(host: str, port: int) -> str:
    return host if port == _SSH_PORT else f"[{host}]:{port}"


def _no_key(
    files: Sequence[Path], host: str, port: int, found: Iterable[_Line]
) -> ConfigurationError:
    place, name = ", ".join(map(str, files)), _name(host, port)
    markers = {line.marker for line in found}
    if "@revoked" in markers:
        return ConfigurationError(
            f"{place} revokes each key of {name} that it has",
            hint="give the host new keys, and add them there",
        )
    authority = "@cert-authority" in markers
    only = f" but that of a certificate authority (@cert-authority) for {name}" if authority else ""
    return ConfigurationError(
        f"{place} has no key of {name}{only}",
        hint=f"add the output of: ssh-keyscan -p {port} {host} "
        "(compare it with the host's /etc/ssh/ssh_host_*_key.pub first)",
    )


def _lines_of(file: Path) -> Iterator[_Line]:
    try:
        # Comments may have any encoding; everything else is ASCII.
        text = file.read_bytes().decode(errors="replace")
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the SSH host keys in {file}: {error.strerror}",
            hint="set ssh_known_hosts to a file like ~/.ssh/known_hosts",
        ) from error
    # Not `splitlines`, which also splits at characters that a comment may contain.
    for line in text.split("\n"):
        if (parsed := _parsed(line.strip())) is not None:
            yield parsed


def _parsed(line: str) -> _Line | None:
    words = [] if line.startswith("#") else line.split()
    marker = words.pop(0) if words and words[0].startswith("@") else ""
    if len(words) < len(("hosts", "type", "key")) or not is_key(words[1], words[2]):
        return None
    return _Line(marker=marker, hosts=words[0], key=(words[1], words[2]))


def is_key(kind: str, text: str) -> bool:
    """Return whether `text` is base64 that begins like a public key of the type `kind`."""
    try:
        blob = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    name = kind.encode(errors="replace")
    return blob.startswith(len(name).to_bytes(4, "big") + name)


def _matching(lines: Iterable[_Line], name: str) -> list[_Line]:
    return [line for line in lines if _covers(line.hosts, name.lower())]


def _covers(hosts: str, name: str) -> bool:
    """Return whether `hosts`, the first word of a line, covers the host `name`."""
    if hosts.startswith(_HASHED):
        return _is_hash_of(hosts, name)
    matched = False
    for pattern in hosts.lower().split(","):
        if _pattern(pattern.removeprefix("!")).fullmatch(name):
            if pattern.startswith("!"):
                return False
            matched = True
    return matched


def _pattern(text: str) -> re.Pattern[str]:
    """Return `text`, with the wildcards ``*`` and ``?``, as a regular expression.

    Brackets are literal: they surround a name that has a port.
    """
    wild = {"*": ".*", "?": "."}
    return re.compile("".join(wild.get(character) or re.escape(character) for character in text))


def _is_hash_of(hashed: str, name: str) -> bool:
    try:
        salt, digest = map(base64.b64decode, hashed.removeprefix(_HASHED).split("|"))
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(hmac.digest(salt, name.encode(), hashlib.sha1), digest)
