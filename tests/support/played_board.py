# SPDX-License-Identifier: MIT
"""A lab whose host has a serial console: a script plays its boot loader and its login.

Behind the login is a shell of this machine, and SSH to the board is the real OpenSSH
server of the test, so a whole job takes seconds.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.lab import Lab, ending
from tests.support.sshd import Server

TYPE, NAME = "played", "played01"
PASSWORD = "the-boards-own-word"
"""The password of ``tester``."""

_BOARD = """\
stty sane
read -r wanted <"$0.word"
printf 'U-Boot\\r\\nHit any key to stop autoboot: '
head -c 1 >/dev/null
printf '\\n=> '
read -r command
echo 'Linux version 6.1'
{system}
exec setsid --ctty --wait bash --norc --noprofile -i
"""
_LOGIN = """\
until [ "$name:$word" = "tester:$wanted" ]; do
    printf 'board login: '
    read -r name
    stty -echo
    printf 'Password: '
    read -r word
    stty echo
    echo
done
"""
_IP = "#!/bin/sh\necho '192.0.2.1 dev eth0 src 198.51.100.7 uid 0'\n"
_CAT = """\
#!/bin/sh
case $1 in
    /etc/ssh/ssh_host_*) cat {key}; {then} ;;
    *) exec cat "$@" ;;
esac
"""


@contextmanager
def board_lab(
    folder: Path,
    sshd: Server,
    *,
    after_reading_keys: str = "",
    system: str = _LOGIN,
    **device: object,
) -> Iterator[Lab]:
    """A lab with such a board, ``played01`` of type ``played``, as its only host.

    `after_reading_keys` is a command that the board runs when its SSH keys have been read, `system`
    the command that it runs after its kernel's first words.
    """
    programs = folder / "programs"
    programs.mkdir()
    key = sshd.home.parent / "host_key.pub"
    then = after_reading_keys or ":"
    cat = _CAT.format(key=key, then=then).replace(" cat ", " /usr/bin/cat ")
    for name, text in (("ip", _IP), ("cat", cat)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (folder / "board.sh").write_text(_BOARD.replace("{system}", system))
    (folder / "board.sh.word").write_text(f"{PASSWORD}\n")
    environment = f"env HOME={sshd.home} PATH={programs}:/usr/bin:/bin 'PS1=root@board:~# '"
    keys = {
        "client_type": "bootloader",
        "connection_command": f"{environment} sh {folder}/board.sh",
        "connection_command_pattern": "",
        "hard_reset_command": "true",
        "interrupt_boot_control_character": "J",
        "boot_retries": 1,
        "bootloader_prompt": "=>",
        "boot_cmds": "boot",
        "has_kernel_messages": "no",
        "login_prompt": "board login:",
        "username": "tester",
        "password_prompt": "Password:",
        "password": PASSWORD,
        "test_image_prompts": "root@board:~#",
        "ssh_host": "127.0.0.1",
        "ssh_port": sshd.address.port,
        "ssh_username": sshd.address.username,
        "vm_folder": folder / "vms",
        **device,
    }
    config = folder / "config"
    for name in ("devices", "device-types"):
        (config / name).mkdir(parents=True)
    text = "".join(f"{name} = {value}\n" for name, value in keys.items())
    (config / f"device-types/{TYPE}.conf").write_text(text)
    (config / f"devices/{NAME}.conf").write_text(f"device_type = {TYPE}\n")
    (config / "lava-dispatcher.conf").write_text(
        f"LAVA_IMAGE_TMPDIR = {folder}/tftp\nLAVA_LOCK_DIR = {folder}/locks\n"
    )
    # No network is made on this machine.
    (config / "device-types/kvm-aarch64.conf").write_text("qemu_networks =\n")
    with ending(Lab(folder=folder, config=config)) as made:
        yield made
