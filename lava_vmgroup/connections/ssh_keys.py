# SPDX-License-Identifier: MIT
"""Keys to log in to the host with: made for one job, or kept by the lab."""

from __future__ import annotations

import io
from functools import cached_property
from pathlib import Path
from typing import Protocol

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from paramiko.pkey import UnknownKeyType

from lava_vmgroup.base.errors import ConfigurationError

_RSA_BITS = 3072
"""The minimum of strict policies, such as FUTURE of Fedora and RHEL."""


_PUBLIC = (b"ssh-", b"ecdsa-", b"sk-")
_UNUSABLE = (
    OSError,
    ValueError,
    TypeError,
    paramiko.SSHException,
    UnknownKeyType,
    UnsupportedAlgorithm,
)


class JobKey:
    """Key pairs made for one job, held in memory only.

    There is one pair of each type, as no type is accepted everywhere: FIPS forbids Ed25519, other
    policies forbid NIST's curves, and old servers only support RSA.
    """

    @cached_property
    def privates(self) -> tuple[paramiko.PKey, ...]:
        """See `Identity.privates`."""
        return (
            _loaded(paramiko.Ed25519Key, ed25519.Ed25519PrivateKey.generate()),
            _loaded(paramiko.ECDSAKey, ec.generate_private_key(ec.SECP256R1())),
            _loaded(paramiko.RSAKey, rsa.generate_private_key(65537, _RSA_BITS)),
        )

    @property
    def publics(self) -> tuple[str, ...]:
        """The public halves in the format of ``authorized_keys``."""
        return tuple(f"{key.get_name()} {key.get_base64()}" for key in self.privates)

    def authorized_lines(self, comment: str) -> tuple[str, ...]:
        """Return the public halves as lines of ``authorized_keys``, marked with `comment`."""
        return tuple(f"{public} {comment}" for public in self.publics)


class KeyFile:
    """A private key that the lab keeps in a file."""

    def __init__(self, path: Path) -> None:
        """Read the file; raise `ConfigurationError` if it holds no usable key."""
        try:
            if path.read_bytes().startswith(_PUBLIC):
                raise ValueError("it is a public key")
            self.privates: tuple[paramiko.PKey, ...] = (paramiko.PKey.from_path(path),)
        except _UNUSABLE as error:
            raise ConfigurationError(
                f"cannot use the SSH key {path}: {str(error) or type(error).__name__}",
                hint="set ssh_identity_file to a private key of type Ed25519, ECDSA or RSA, "
                "without a passphrase, as ssh-keygen writes it "
                "(ssh-keygen -p -f FILE converts one)",
            ) from error


class Identity(Protocol):
    """A source of private keys to log in with."""

    @property
    def privates(self) -> tuple[paramiko.PKey, ...]:
        """The keys, in the order in which they are offered to the host."""
        ...


def _loaded(
    kind: type[paramiko.Ed25519Key] | type[paramiko.ECDSAKey] | type[paramiko.RSAKey],
    key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
) -> paramiko.PKey:
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    return kind.from_private_key(io.StringIO(pem.decode()))
