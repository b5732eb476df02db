# SPDX-License-Identifier: MIT
"""Files that are no private key which the dispatcher can use are refused with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, x25519

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.connections.ssh_keys import JobKey, KeyFile


def content(kind: str) -> bytes:
    if kind == "public":
        return JobKey().publics[0].encode()
    key = x25519.X25519PrivateKey.generate() if kind == "X25519" else dsa.generate_private_key(2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@pytest.mark.parametrize("kind", ["DSA", "X25519", "public"])
def test_key_that_cannot_be_used_is_refused(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "id"
    file.write_bytes(content(kind))

    with pytest.raises(ConfigurationError, match=f"cannot use the SSH key {file}: .") as refused:
        KeyFile(file)

    assert "Ed25519, ECDSA or RSA" in refused.value.describe()
    assert ("it is a public key" in refused.value.message) == (kind == "public")
