# SPDX-License-Identifier: MIT
"""The settings of the lab's MultiNode coordinator, from LAVA's ``lava-coordinator.conf``.

The keys ``listen`` and ``token_file`` are additions to LAVA's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.base.text import decoded

DEFAULT_PATH = Path("/etc/lava-coordinator/lava-coordinator.conf")
"""The path at which LAVA keeps the file."""
POLL_DELAY_S = 1.0
"""Seconds between polls if a file does not set ``poll_delay``, as in LAVA."""
LONGEST_POLL_DELAY_S = 86400

_TOO_OPEN = 0o027
"""Permissions that a token's file must not give: to write for its group, any for others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """The settings that a client needs to speak to a coordinator."""

    host: str
    port: int
    poll_delay_s: float = POLL_DELAY_S
    """Seconds between polls of a coordinator that cannot hold a request until it has an answer."""
    token: str | None = field(default=None, repr=False)
    """The secret for a coordinator that asks for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorConfig:
    """The coordinator's settings, under LAVA's names and with the defaults that LAVA ships."""

    coordinator_hostname: str = "localhost"
    port: int = 3079
    blocksize: int = 4096
    poll_delay: float = 3.0
    listen: str = "127.0.0.1"
    """The address at which the coordinator listens; LAVA's coordinator listens at all addresses."""
    token_file: Path | None = None
    """The file with the token that the coordinator asks for."""

    def endpoint(self) -> Endpoint:
        """Return the coordinator's address and token for clients; raises the errors of `token`."""
        return Endpoint(
            host=self.coordinator_hostname,
            port=self.port,
            poll_delay_s=self.poll_delay,
            token=self.token(),
        )

    def token(self) -> str | None:
        """Return the token, or None without `token_file`; raises the errors of `read_token`."""
        return None if self.token_file is None else read_token(self.token_file)


def read_token(path: Path) -> str:
    """Return the token in the file `path`, without the white space around it.

    Raises ConfigurationError if the file cannot be read, is not ASCII, is empty, or is open to
    other users.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the coordinator's token: {path}: {error.strerror}",
            hint="check token_file and the file's owner",
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{path}: a token is ASCII text", hint="make one with: openssl rand -hex 32"
        ) from error
    if mode & _TOO_OPEN:
        raise ConfigurationError(
            f"{path}: a token that others may read or write protects nothing",
            hint=f"chmod 600 {path}, or 640 for a group, and make a new token",
        )
    if not text:
        raise ConfigurationError(
            f"{path}: there is no token in it", hint="make one with: openssl rand -hex 32"
        )
    return text


def load_coordinator_config(path: Path) -> CoordinatorConfig:
    """Read a file in the format of LAVA's ``lava-coordinator.conf``, a JSON object.

    Unknown keys are ignored.  Raises ConfigurationError if the file cannot be read or is no JSON
    object, and with file and key for a value that does not fit.
    """
    try:
        document = json.loads(decoded(path.read_bytes()))
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the coordinator's configuration: {path}: {error.strerror}",
            hint="give a file with coordinator_hostname and port in JSON by --coordinator",
        ) from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{path}: not JSON: {error}", hint="correct it there") from error
    except ValueError as error:
        raise ConfigurationError(f"{path} {error}", hint="correct it there") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path}: expected a JSON object", hint="correct it there")
    values: dict[str, Any] = {"poll_delay": POLL_DELAY_S}
    for key, (fits, expected) in _CHECKS.items():
        if key in document:
            _check(path, document, key, fits, expected)
            values[key] = document[key]
    if "token_file" in values:
        values["token_file"] = path.parent / values["token_file"]
    return CoordinatorConfig(**values)


def find_coordinator_config(file: Path | None, search_path: tuple[Path, ...]) -> CoordinatorConfig:
    """Read `file`; if it is None, read the ``lava-coordinator.conf`` with the highest precedence.

    That is one on the search path, or else LAVA's own.  Raises the errors of
    `load_coordinator_config`.
    """
    if file is None:
        own = [folder / DEFAULT_PATH.name for folder in reversed(search_path)]
        file = next((path for path in own if path.exists()), DEFAULT_PATH)
    return load_coordinator_config(file)


def _check(
    path: Path, document: Mapping[str, Any], key: str, fits: Callable[[Any], bool], expected: str
) -> None:
    if not fits(document[key]):
        found = json.dumps(document[key])[:60]
        raise ConfigurationError(
            f"{path}: {key}: expected {expected}, found {found}", hint="correct it there"
        )


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def _is_port(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 0xFFFF


def _is_positive(value: Any) -> bool:
    return type(value) is int and value > 0


def _is_pause(value: Any) -> bool:
    return type(value) in {int, float} and 0 < value <= LONGEST_POLL_DELAY_S


_CHECKS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "coordinator_hostname": (_is_text, "the name or the address of a machine"),
    "port": (_is_port, "a number from 0 to 65535"),
    "blocksize": (_is_positive, "a number of bytes, 1 or more"),
    "poll_delay": (_is_pause, "a number of seconds, more than 0 and at most a day"),
    "listen": (_is_text, "an address of this machine"),
    "token_file": (_is_text, "the path of a file"),
}
