# SPDX-License-Identifier: MIT
"""Keys to log in to the host with: one that is made for a job, or one that the lab keeps."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Protocol

import paramiko
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from lava_vmgroup.errors import ConfigurationError


class JobKey:
    """A key pair made for one job, held in memory only."""

    def __init__(self) -> None:
        pem = ed25519.Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
        self.private = paramiko.Ed25519Key.from_private_key(io.StringIO(pem.decode()))

    @property
    def public(self) -> str:
        """The public half as in ``authorized_keys``."""
        return f"{self.private.get_name()} {self.private.get_base64()}"

    def authorized_line(self, comment: str) -> str:
        """The public half as a line of ``authorized_keys``, marked with `comment`."""
        return f"{self.public} {comment}"


class KeyFile:
    """A private key that the lab keeps in a file."""

    def __init__(self, path: Path) -> None:
        """Read it; raises `ConfigurationError` for a file that holds no usable key."""
        try:
            self.private = paramiko.PKey.from_path(path)
        except (OSError, ValueError, TypeError, paramiko.SSHException) as error:
            raise ConfigurationError(
                f"cannot use the SSH key {path}: {error}",
                hint="set ssh_identity_file to a private key without a passphrase",
            ) from error


class Identity(Protocol):
    """Whatever has a private key to log in with."""

    @property
    def private(self) -> paramiko.PKey:
        """The key."""
        ...
