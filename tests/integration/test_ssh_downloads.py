# SPDX-License-Identifier: MIT
"""Files are copied from servers by SSH."""

import os
import shutil
from pathlib import Path

import pytest

from lava_vmgroup.base.errors import InfrastructureError, JobError
from tests.integration.downloads import DATA, SHA256, download, job, kept
from tests.support.sshd import Server


@pytest.fixture
def _ssh_user(sshd: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ``ssh`` whose user has a key that the server knows, and knows the server's."""
    folder, address = tmp_path / "sshd", sshd.address
    key = folder / "user_key"
    sshd.accept_new_key(key)
    ((kind, public),) = address.host_keys
    (folder / "known_hosts").write_text(f"[{address.host}]:{address.port} {kind} {public}\n")
    (folder / "config").write_text(
        f"Host *\nIdentityFile {key}\nUserKnownHostsFile {folder}/known_hosts\n"
        "StrictHostKeyChecking no\n"
    )
    program = tmp_path / "bin/ssh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/config "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)


def scp_url(server: Server, path: str) -> str:
    address = server.address
    return f"scp://{address.username}@{address.host}:{address.port}{path}"


@pytest.mark.usefixtures("_ssh_user")
def test_file_is_copied_by_ssh(sshd: Server, tmp_path: Path) -> None:
    source = tmp_path / "it's $HOME.img"
    source.write_bytes(DATA)
    url = scp_url(sshd, f"{tmp_path}/it's%20$HOME.img")

    with job(tmp_path) as files:
        assert download(files, url, sha256sum=SHA256).read_bytes() == DATA


@pytest.mark.usefixtures("_ssh_user")
def test_missing_file_on_a_server_is_the_jobs_fault(sshd: Server, tmp_path: Path) -> None:
    with job(tmp_path) as files, pytest.raises(JobError, match=r"none\.img: .*No such file"):
        download(files, scp_url(sshd, f"{tmp_path}/none.img"))
    assert kept(tmp_path) == []


@pytest.mark.usefixtures("_ssh_user")
def test_unknown_server_is_refused_whatever_the_users_configuration_says(
    sshd: Server, tmp_path: Path
) -> None:
    (tmp_path / "a.img").write_bytes(DATA)
    (tmp_path / "sshd/known_hosts").write_text("")

    with job(tmp_path) as files, pytest.raises(InfrastructureError, match="Host key verification"):
        download(files, scp_url(sshd, f"{tmp_path}/a.img"))
