# SPDX-License-Identifier: MIT
"""Files of host keys as labs have them, read as OpenSSH's own program reads them."""

import subprocess
from pathlib import Path

import pytest

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.connections.known_hosts import HostKey, KnownKeys, known_keys

FILES = Path(__file__).parent / "files"
RACK = "AAAAC3NzaC1lZDI1NTE5AAAAIICRk2EmR5L5scG3qdrcT+L9XycG2K+3rS/eedOCUQVh"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> list[HostKey]:
    """Public keys of three types."""
    folder = tmp_path_factory.mktemp("keys")
    found = []
    for kind in ("ed25519", "ecdsa", "rsa"):
        command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(folder / kind)]
        subprocess.run(command, check=True)
        name, key, _ = (folder / f"{kind}.pub").read_text().split(maxsplit=2)
        found.append((name, key))
    return found


def known(
    folder: Path, content: str | bytes, host: str = "rack01.lab", port: int = 22
) -> KnownKeys:
    file = folder / "known_hosts"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return known_keys([file], host, port)


def openssh_finds(file: Path, name: str) -> set[str]:
    """The keys that OpenSSH's program finds for a name."""
    command = ["ssh-keygen", "-F", name, "-f", str(file)]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return {line.split()[2] for line in found.splitlines() if not line.startswith(("#", "@"))}


def test_host_is_found_beside_a_certificate_authority() -> None:
    found = known_keys([FILES / "known_hosts"], "rack01.lab", 22)

    assert found == KnownKeys(accepted=(("ssh-ed25519", RACK),))


@pytest.mark.parametrize(
    "hosts",
    [
        "rack01.lab",
        "RACK01.lab",
        "other,rack01.lab,192.0.2.1",
        "*.lab",
        "rack??.lab",
        "*",
        "rack0[1].lab",
        "*.lab,!rack01.lab",
        "!*.lab,rack01.lab",
        "!other.lab,*.lab",
        "rack01",
        "[rack01.lab]:22",
        "[rack01.lab]:2222",
        "[*.lab]:2222",
        "[rack01.lab]:*",
        "|1|broken",
        "|1|AAAA|AAAA",
    ],
)
@pytest.mark.parametrize("port", [22, 2222])
def test_names_of_a_line_mean_what_they_mean_to_openssh(
    hosts: str, port: int, keys: list[HostKey], tmp_path: Path
) -> None:
    line = f"{hosts} {' '.join(keys[0])} a comment\n"
    name = "rack01.lab" if port == 22 else f"[rack01.lab]:{port}"
    (tmp_path / "known_hosts").write_text(line)
    expected = openssh_finds(tmp_path / "known_hosts", name)
    # ssh falls back to the name without the port, its program does not.
    expected = expected or openssh_finds(tmp_path / "known_hosts", "rack01.lab")

    try:
        found = {key for _, key in known(tmp_path, line, port=port).accepted}
    except ConfigurationError:
        found = set()

    assert found == expected


def test_hashed_names_are_found(keys: list[HostKey], tmp_path: Path) -> None:
    lines = f"rack01.lab {' '.join(keys[0])}\n[rack01.lab]:2222 {' '.join(keys[1])}\n"
    (tmp_path / "known_hosts").write_text(lines)
    command = ["ssh-keygen", "-q", "-H", "-f", str(tmp_path / "known_hosts")]
    subprocess.run(command, check=True, capture_output=True)
    content = (tmp_path / "known_hosts").read_bytes()
    assert b"rack01" not in content

    assert known(tmp_path, content).accepted == (keys[0],)
    assert known(tmp_path, content, port=2222).accepted == (keys[1],)


def test_lines_that_are_no_keys_are_skipped(keys: list[HostKey], tmp_path: Path) -> None:
    good = f"rack01.lab {' '.join(keys[0])}"
    content = (
        b"# keys of the lab\r\n\r\n   \r\nrack01.lab\r\nrack01.lab ssh-rsa\r\n"
        b"rack01.lab ssh-ed25519 AAAA\r\nrack01.lab ssh-ed25519 no-base64\r\n"
        b"rack01.lab 1024 35 1234567890123456789\r\n@unknown rack01.lab " + good.encode() + b"\r\n"
        b"@cert-authority\r\n\xef\xbb\xbf\xff\xfe\r\n"
        b"rack01.lab sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29t\r\n"
        b"\t" + good.encode() + b" Rack f\xfcr M\xe4rz\x85\x0c\r\n"
    )

    found = known(tmp_path, content)

    assert keys[0] in found.accepted
    assert {kind for kind, _ in found.accepted} == {"ssh-ed25519", "sk-ssh-ed25519@openssh.com"}


def test_several_files_count_together(keys: list[HostKey], tmp_path: Path) -> None:
    files = [tmp_path / "a", tmp_path / "b"]
    files[0].write_text(f"rack01.lab {' '.join(keys[0])}\nrack01.lab {' '.join(keys[1])}\n")
    files[1].write_text(f"rack01.lab {' '.join(keys[2])}\n@revoked * {' '.join(keys[0])}\n")

    found = known_keys(files, "rack01.lab", 22)

    assert found == KnownKeys(accepted=(keys[1], keys[2]), revoked=(keys[0],))


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("@revoked", "revokes each key of rack01.lab that it has"),
        ("@cert-authority", r"no key of rack01.lab but that of a certificate authority"),
    ],
)
def test_host_that_only_has_a_marked_line_is_refused_with_the_reason(
    marker: str, message: str, keys: list[HostKey], tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        known(tmp_path, f"{marker} *.lab {' '.join(keys[0])}\n")
