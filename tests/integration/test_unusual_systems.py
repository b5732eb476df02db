# SPDX-License-Identifier: MIT
"""Systems that are opened to SSH and keep their keys, their addresses or their home elsewhere.

The system is a shell of this machine with an ``/etc`` of its own.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import DeadlineExpired, InfrastructureError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.connections.process import ProcessStream
from lava_vmgroup.connections.ssh import dial
from lava_vmgroup.connections.ssh_keys import JobKey
from lava_vmgroup.console import access
from lava_vmgroup.console.access import KeyOwner, Opened, open_to_ssh
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.console.shell import Shell
from tests.support.dropbear import dropbear, public_key
from tests.support.sshd import make_key

SERVER = "192.0.2.1"
ROUTE = f"echo '{SERVER} dev eth0 src 198.51.100.7 uid 0'"


def soon() -> Deadline:
    return Deadline.after("the test", 60.0)


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """Return a folder with the files of the system's ``/etc``."""
    folder = tmp_path / "etc"
    for name in ("ssh/sshd_config.d", "dropbear"):
        (folder / name).mkdir(parents=True)
    for name in ("passwd", "group", "nsswitch.conf", "shells"):
        shutil.copy(f"/etc/{name}", folder / name)
    (folder / "ssh/sshd_config").write_text("Include /etc/ssh/sshd_config.d/*.conf\n")
    return folder


@contextmanager
def system(
    tmp_path: Path, *, ip: str = ROUTE, before: str = ":", without: tuple[str, ...] = ()
) -> Iterator[Shell]:
    """A shell of the system, whose ``ip`` is a script, or missing where that is empty."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for program in Path("/usr/bin").iterdir():
        if program.name not in ("ip", *without):
            (programs / program.name).symlink_to(program)
    for name in {"sshd", "dropbear"} - set(without):
        shutil.copy(f"/usr/sbin/{name}", programs / name)
    if ip:
        (programs / "ip").write_text(f"#!/bin/sh\n{ip}\n")
        (programs / "ip").chmod(0o755)
    (tmp_path / "home").mkdir()
    (tmp_path / "start.sh").write_text(
        f"mount --bind {tmp_path}/etc /etc\n{before}\nexport HOME={tmp_path}/home PATH={programs}\n"
        "for folder in /usr/sbin /usr/local/bin; do mount -t tmpfs none $folder; done\n"
        "export PS1='# '\nexec bash --norc --noprofile -i\n"
    )
    start = f"setsid --ctty --wait unshare --map-root-user --mount sh {tmp_path}/start.sh"
    with Console(ProcessStream(start), Recorder(tmp_path / "log")) as console:
        yield Shell.prepare(console, soon())


def opened(shell: Shell, key: JobKey | None = None, server: str = SERVER, **keys: object) -> Opened:
    config = DeviceConfig(hostname="board01", **keys)  # type: ignore[arg-type]
    owner = KeyOwner(ip=server, key=key or JobKey(), job="1")
    return open_to_ssh(shell, config, owner, log=NodeLog(), deadline=soon())


def own_key(file: Path) -> tuple[str, str]:
    kind, key, *_ = make_key(file).split()
    return kind, key


@pytest.mark.parametrize(
    ("place", "config", "line"),
    [
        ("etc/ssh/ssh_host_ed25519_key", "sshd_config", ""),
        ("var/keys/host", "sshd_config", "  hostkey   {file}"),
        ("var/keys/host", "sshd_config.d/10-keys.conf", "HostKey {file}"),
        ("run/ssh/ssh_host_key", "sshd_config_readonly", "HostKey={file}"),
    ],
)
@pytest.mark.parametrize("has_public", [True, False])
def test_host_key_is_found_where_the_configuration_says(
    place: str, config: str, line: str, has_public: bool, etc: Path, tmp_path: Path
) -> None:
    file = tmp_path / place
    file.parent.mkdir(parents=True, exist_ok=True)
    key = own_key(file)
    if not has_public:
        Path(f"{file}.pub").unlink()
    with (etc / "ssh" / config).open("a") as text:
        text.write(f"{line.format(file=file)}\n")

    with system(tmp_path) as shell:
        assert opened(shell).access.address.host_keys == (key,)


def test_host_key_of_dropbear_is_found(etc: Path, tmp_path: Path) -> None:
    file = etc / "dropbear/dropbear_rsa_host_key"
    subprocess.run(["dropbearkey", "-t", "rsa", "-f", file], check=True, capture_output=True)

    with system(tmp_path, without=("sshd",)) as shell:
        assert opened(shell).access.address.host_keys == (public_key(file),)


@pytest.mark.usefixtures("as_root")
def test_key_that_a_server_makes_at_its_first_connection_is_found(
    etc: Path, tmp_path: Path
) -> None:
    key = JobKey()
    file = etc / "dropbear/dropbear_ed25519_host_key"
    with (
        dropbear(tmp_path / "dropbear", key, etc=etc) as address,
        system(tmp_path, without=("sshd",)) as shell,
    ):
        found = opened(shell, key, ssh_host=address.host, ssh_port=address.port)

        assert found.access.address.host_keys == (public_key(file),)
        with dial(found.access.address, key, soon()) as link:
            assert link.check_run(["echo", "in"], soon()) == "in\n"


@pytest.mark.usefixtures("etc")
def test_host_whose_keys_never_come_is_told_where_they_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "_SSHD_S", 4.0)

    with (
        system(tmp_path) as shell,
        pytest.raises(DeadlineExpired, match=r"the host's SSH keys.*no hostkeys") as caught,
    ):
        opened(shell, ssh_host="127.0.0.1", ssh_port=1)

    assert "HostKey in sshd_config" in str(caught.value.hint)


@pytest.mark.usefixtures("etc")
def test_host_without_a_server_is_told_at_once(tmp_path: Path) -> None:
    with (
        system(tmp_path, ip="exit 2", without=("sshd", "dropbear")) as shell,
        pytest.raises(InfrastructureError, match="no SSH server"),
    ):
        opened(shell)


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("AuthorizedKeysFile /etc/keys/%u", "etc/keys/root"),
        ("AuthorizedKeysFile %h/keys", "home/keys"),
        ("AuthorizedKeysFile keys/mine other", "home/keys/mine"),
        ("AuthorizedKeysFile /etc/keys/%u .ssh/authorized_keys", "home/.ssh/authorized_keys"),
        (f"Match address {SERVER}\nAuthorizedKeysFile /etc/keys/%u", "etc/keys/root"),
    ],
)
def test_key_goes_where_the_server_reads_it(
    line: str, place: str, etc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "_UNCLAIMED_S", 3.0)
    own_key(etc / "ssh/ssh_host_ed25519_key")
    with (etc / "ssh/sshd_config").open("a") as text:
        text.write(f"{line}\n")
    key = JobKey()

    with system(tmp_path) as shell:
        found = opened(shell, key)

        lines = list(key.authorized_lines("lava-vmgroup-1"))
        assert (tmp_path / place).read_text().splitlines() == lines
        shown = found.access.keys_file.replace("~", f"{tmp_path}/home")
        assert shown.replace("/etc/", f"{tmp_path}/etc/") == str(tmp_path / place)
        shell.check_run(f"while [ -e {tmp_path}/{place} ]; do sleep 0.1; done", soon())


@pytest.mark.parametrize(
    "line", ["PermitRootLogin no", "PubkeyAuthentication no", "AuthorizedKeysFile none"]
)
def test_reason_for_a_refused_login_is_known_beforehand(
    line: str, etc: Path, tmp_path: Path
) -> None:
    own_key(etc / "ssh/ssh_host_ed25519_key")
    with (etc / "ssh/sshd_config").open("a") as text:
        text.write(f"{line}\n")

    with system(tmp_path) as shell:
        assert opened(shell).access.why_refused == f"its sshd_config has {line}"


def test_home_that_is_read_only_is_told(etc: Path, tmp_path: Path) -> None:
    own_key(etc / "ssh/ssh_host_ed25519_key")
    home = tmp_path / "home"

    with (
        system(tmp_path, before=f"mount -t tmpfs -o ro none {home}") as shell,
        pytest.raises(InfrastructureError, match=r"authorized_keys.*Read-only file") as caught,
    ):
        opened(shell)

    assert "AuthorizedKeysFile" in str(caught.value.hint)


NO_ROUTES = "case $1 in route) echo 'ip: invalid argument' >&2; exit 1 ;; esac\n"
LISTED = """\
echo '1: lo    inet 127.0.0.1/8 scope host lo'
echo '1: lo    inet6 ::1/128 scope host '
echo '2: eth0    inet 192.0.2.77/24 brd 192.0.2.255 scope global eth0'
echo '2: eth0    inet6 fe80::1/64 scope link '
echo '2: eth0    inet6 2001:db8::7/64 scope global '
echo '3: usb0    inet 10.0.0.1/24 scope global usb0'
"""
IFCONFIG = """\
echo 'eth0      Link encap:Ethernet  HWaddr 02:00:00:00:00:01'
echo '          inet addr:192.0.2.77  Bcast:192.0.2.255  Mask:255.255.255.0'
echo '          inet6 addr: 2001:db8::7/64 Scope:Global'
echo 'lo        inet addr:127.0.0.1  Mask:255.0.0.0'
"""


@pytest.mark.parametrize(
    ("ip", "others", "server", "address"),
    [
        (NO_ROUTES + LISTED, {}, SERVER, "192.0.2.77"),
        (NO_ROUTES + LISTED, {}, "2001:db8::1", "2001:db8::7"),
        ("", {"ifconfig": IFCONFIG}, SERVER, "192.0.2.77"),
        ("", {"ifconfig": IFCONFIG}, "2001:db8::1", "2001:db8::7"),
        (
            "",
            {"ifconfig": "exit 127", "hostname": "echo 192.0.2.77 2001:db8::7"},
            SERVER,
            "192.0.2.77",
        ),
        ("echo '2001:db8::1 dev eth0 src 2001:db8::7 metric 1'", {}, "2001:db8::1", "2001:db8::7"),
    ],
)
def test_address_is_found_with_the_tools_that_there_are(
    ip: str, others: dict[str, str], server: str, address: str, etc: Path, tmp_path: Path
) -> None:
    own_key(etc / "ssh/ssh_host_ed25519_key")
    with system(tmp_path, ip=ip, without=tuple(others)) as shell:
        for name, text in others.items():
            (tmp_path / "programs" / name).write_text(f"#!/bin/sh\n{text}\n")
            (tmp_path / "programs" / name).chmod(0o755)

        assert opened(shell, server=server).ip == address


def test_host_without_an_address_towards_the_dispatcher_is_told_what_it_has(
    etc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_key(etc / "ssh/ssh_host_ed25519_key")
    monkeypatch.setattr(access, "_NETWORK_S", 3.0)
    ip = f"case $1 in route) echo 'Network is unreachable' >&2; exit 2 ;; esac\n{LISTED}"

    with (
        system(tmp_path, ip=ip) as shell,
        pytest.raises(DeadlineExpired, match=r"Network is unreachable.*2001:db8::7") as caught,
    ):
        opened(shell)

    assert "LAVA_SERVER_IP" in str(caught.value.hint)
