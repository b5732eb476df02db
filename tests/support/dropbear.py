# SPDX-License-Identifier: MIT
"""A real dropbear on loopback, for this user, with a home and a login shell of the test's."""

import getpass
import os
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lava_vmgroup.connections.ssh_access import Address
from lava_vmgroup.connections.ssh_keys import JobKey

_WRAPPER = "libnss_wrapper.so"


@contextmanager
def dropbear(
    folder: Path,
    key: JobKey,
    *options: str,
    shell: str = "/bin/bash",
    etc: Path | None = None,
) -> Iterator[Address]:
    """Start a ``dropbear -i`` per connection, which accepts `key` and shows an RSA key of its own.

    With an `etc`, for which we must be root, that is its ``/etc``, where it makes its keys itself;
    the address has none.
    The user's home is ``home`` in `folder`; the system's own user database is not touched.
    """
    home = folder / "home"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    (home / ".ssh/authorized_keys").write_text("\n".join((*key.authorized_lines("test"), "")))
    (home / ".ssh/authorized_keys").chmod(0o600)
    host_keys: tuple[tuple[str, str], ...] = ()
    command = ["/usr/sbin/dropbear", "-i", "-s", *options]
    if etc is None:
        host_key = folder / "dropbear_rsa_host_key"
        make = ["dropbearkey", "-t", "rsa", "-f", str(host_key)]
        subprocess.run(make, check=True, capture_output=True)
        host_keys = (public_key(host_key),)
        command += ["-r", str(host_key)]
    else:
        start = 'mount --bind "$0" /etc && exec "$@" -R'
        command = ["unshare", "--mount", "sh", "-c", start, str(etc), *command]
    user = getpass.getuser()
    (folder / "passwd").write_text(f"{user}:x:{os.getuid()}:{os.getgid()}::{home}:{shell}\n")
    environment = {
        **os.environ,
        "LD_PRELOAD": _WRAPPER,
        "NSS_WRAPPER_PASSWD": str(folder / "passwd"),
        "NSS_WRAPPER_GROUP": "/etc/group",
    }
    started: list[subprocess.Popen[bytes]] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        arguments = (listener, command, environment, started)
        thread = threading.Thread(target=_serve, args=arguments, daemon=True)
        thread.start()
        yield Address(
            host="127.0.0.1",
            port=listener.getsockname()[1],
            username=user,
            host_keys=host_keys,
        )
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    for process in started:
        process.terminate()
        process.wait()


def public_key(file: Path) -> tuple[str, str]:
    """The public half of a key in dropbear's own format."""
    command = ["dropbearkey", "-y", "-f", str(file)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    kind, key = next(line.split()[:2] for line in shown.splitlines() if line.startswith("ssh-"))
    return kind, key


def _serve(
    listener: socket.socket,
    command: Sequence[str],
    environment: dict[str, str],
    started: list[subprocess.Popen[bytes]],
) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            started.append(
                subprocess.Popen(
                    command,
                    env=environment,
                    stdin=connection.fileno(),
                    stdout=connection.fileno(),
                    stderr=subprocess.DEVNULL,
                )
            )
