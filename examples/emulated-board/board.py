#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An ARM board without hardware: power switch, serial line and SD card slot of a QEMU.

A board is a folder. There is no daemon: the machine itself is a QEMU process
that each command finds again by its process id file, and the serial line is a
socket on which `console` listens and to which QEMU connects. That way round a
console can be attached before power on, and survives power cycles.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import console
import qmp

HERE = Path(__file__).resolve().parent
UBOOT = Path("/usr/lib/u-boot/qemu_arm64/u-boot.bin")
QEMU = "qemu-system-aarch64"
DEVICE_TYPE = "emulated-arm64"
# Runs 32-bit guests too. KVM needs a third less time than on a Cortex-A57, as
# the host kernel can stay in EL2; the features switched off are slow to emulate.
CPU = "max,sve=off,sme=off,pauth=off,lpa2=off"
START_TIMEOUT_S = 60.0
QUIT_TIMEOUT_S = 10.0
CONSOLE_TIMEOUT_S = 10.0


class BoardError(Exception):
    """Something the user can act on; the text is one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """Names the files of one board."""

    folder: Path
    name: str
    ssh_port: int
    images: Path
    el2: bool = True
    """The processors have EL2, which KVM needs."""

    @property
    def sd_card(self) -> Path:
        """The card in the slot; no file, no card."""
        return self.folder / "sdcard.img"

    @property
    def tftp(self) -> Path:
        """The folder U-Boot's tftpboot reads from."""
        return self.folder / "tftp"

    @property
    def pid_file(self) -> Path:
        """Written and removed by QEMU."""
        return self.folder / "qemu.pid"

    def pid(self) -> int | None:
        """The machine's process, None if the board is off."""
        return qmp.process_with_argument(self.pid_file, str(self.pid_file))


def main() -> int:
    """One command; the exit status is 1 when it fails."""
    arguments = parse_arguments()
    folder = Path(arguments.folder).absolute()
    try:
        if arguments.command == "create":
            images = Path(arguments.images).absolute()
            create(folder, arguments.name, images, el2=not arguments.without_el2)
            return 0
        board = load(folder)
        if arguments.command == "on":
            with power_switch(board):
                switch_on(board)
        elif arguments.command == "off":
            with power_switch(board):
                switch_off(board)
        elif arguments.command == "reset":
            with power_switch(board):
                # A real power cycle: a card that was changed meanwhile is noticed.
                switch_off(board)
                switch_on(board)
        elif arguments.command == "console":
            console.relay(folder, lambda: board.pid() is not None, arguments.escape)
        elif arguments.command == "insert":
            with power_switch(board):
                insert(board, arguments.image)
        elif arguments.command == "destroy":
            destroy(board)
    except (BoardError, console.ConsoleError, qmp.MonitorError, OSError) as error:
        print(f"board.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    explained = {
        "create": "make a board, with a configuration folder for the dispatcher",
        "on": "switch the board on",
        "off": "switch the board off",
        "reset": "switch it off and on again",
        "console": "attach standard input and output to the serial line",
        "insert": "copy an image to the SD card",
        "destroy": "switch the board off and remove it",
    }
    parsers = {}
    for name, text in explained.items():
        parsers[name] = commands.add_parser(name, help=text, description=text)
        parsers[name].add_argument("folder", metavar="DIR", help="the board's folder")
    parsers["create"].add_argument("--name", default="board01", help="name of the device")
    parsers["create"].add_argument(
        "--images", default=HERE / "images", metavar="DIR", help="where insert looks for images"
    )
    parsers["create"].add_argument(
        "--without-el2", action="store_true", help="make a board on which KVM cannot work"
    )
    parsers["console"].add_argument(
        "--escape", action="store_true", help="leave with Ctrl-] (else it is sent like any key)"
    )
    parsers["insert"].add_argument("image", metavar="IMAGE", help="path, or name of a built image")
    return parser.parse_args()


def create(folder: Path, name: str, images: Path, *, el2: bool) -> None:
    """Makes the folder with everything but the SD card's content."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise BoardError(f"'{name}' is no device name: use letters, digits, '-', '_' and '.'")
    if re.search(r"[%$\x00-\x1f]", f"{folder}{HERE}{sys.executable}"):
        raise BoardError(
            "'%', '$' and control characters mean something in device files; choose another folder"
        )
    if folder.exists() and any(folder.iterdir()):
        raise BoardError(f"{folder} is not empty")
    board = Board(folder=folder, name=name, ssh_port=free_port(), images=images, el2=el2)
    for wanted in (board.tftp, folder / "config/devices", folder / "config/device-types"):
        wanted.mkdir(parents=True, exist_ok=True)
    board.sd_card.touch()
    write_config(board)
    state = {"name": name, "ssh_port": board.ssh_port, "images": str(images), "el2": el2}
    (folder / "board.json").write_text(json.dumps(state, indent=2) + "\n")
    print(f"created {folder}; configuration in {folder / 'config'}, ssh port {board.ssh_port}")


def free_port() -> int:
    """A TCP port for SSH that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    assert isinstance(port, int)
    return port


def write_config(board: Board) -> None:
    """Writes the configuration that a lab's administrator would write for a real board."""
    config = board.folder / "config"
    command = [sys.executable, str(HERE / "board.py")]
    device = {
        "device_type": DEVICE_TYPE,
        "connection_command": shlex.join([*command, "console", str(board.folder)]),
        "hard_reset_command": shlex.join([*command, "reset", str(board.folder)]),
        "power_on_cmd": shlex.join([*command, "on", str(board.folder)]),
        "power_off_cmd": shlex.join([*command, "off", str(board.folder)]),
        "media_device": str(board.sd_card),
        "ssh_host": "127.0.0.1",
        "ssh_port": str(board.ssh_port),
    }
    dispatcher = {
        "LAVA_SERVER_IP": "10.0.2.2",
        "LAVA_IMAGE_TMPDIR": str(board.tftp),
        # Boards of the same name in other folders are other boards.
        "LAVA_LOCK_DIR": str(board.folder / "locks"),
    }
    write_keys(config / "devices" / f"{board.name}.conf", device)
    write_keys(config / "lava-dispatcher.conf", dispatcher)
    for device_type in (HERE / "config/device-types").glob("*.conf"):
        shutil.copyfile(device_type, config / "device-types" / device_type.name)


def write_keys(path: Path, keys: dict[str, str]) -> None:
    """A configuration file without sections."""
    path.write_text("".join(f"{key} = {value}\n" for key, value in keys.items()))


def load(folder: Path) -> Board:
    """A board that `create` made."""
    try:
        state = json.loads((folder / "board.json").read_text())
        return Board(
            folder=folder,
            name=state["name"],
            ssh_port=state["ssh_port"],
            images=Path(state["images"]),
            el2=state["el2"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BoardError(f"{folder} is no board; make one with: board.py create") from error


@contextlib.contextmanager
def power_switch(board: Board) -> Iterator[None]:
    """One hand at a time on the power switch and the card slot."""
    with (board.folder / "power.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def switch_on(board: Board) -> None:
    """Starts the machine; the processors run when an attached console can hear them."""
    if board.pid() is not None:
        return
    if not UBOOT.exists():
        raise BoardError(f"no {UBOOT}; install the Debian package u-boot-qemu")
    (board.folder / "qmp.sock").unlink(missing_ok=True)
    # A path through this descriptor is short enough for a socket, and still
    # valid after QEMU has left its working directory.
    descriptor = os.open(board.folder, os.O_RDONLY | os.O_DIRECTORY)
    sockets = f"/proc/self/fd/{descriptor}"
    try:
        start_qemu(qemu_command(board, sockets), descriptor)
        with qmp.connect(f"{sockets}/qmp.sock", CONSOLE_TIMEOUT_S) as monitor:
            if console.is_attached(board.folder):
                qmp.wait_until_connected(monitor, "serial", CONSOLE_TIMEOUT_S)
            monitor.execute("cont")
    except qmp.MonitorError:
        switch_off(board)
        raise
    finally:
        os.close(descriptor)


def start_qemu(command: list[str], descriptor: int) -> None:
    """Returns when the machine is there; its process goes on in the background."""
    try:
        started = subprocess.run(
            command,
            pass_fds=[descriptor],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=START_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise BoardError(
            "no qemu-system-aarch64; install the Debian package qemu-system-arm"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise BoardError(f"QEMU did not start within {START_TIMEOUT_S:.0f} s") from error
    if started.returncode != 0:
        words = started.stderr.strip().splitlines() or ["no reason given"]
        raise BoardError(f"QEMU did not start: {words[-1]}")


def qemu_command(board: Board, sockets: str) -> list[str]:
    """The board's hardware, its processors stopped."""
    command = [QEMU, "-name", board.name, "-nodefaults"]
    # EL2 makes KVM work on the board. A random seed in the device tree would
    # only cost time: see nokaslr in the device type file.
    virtualization = "on" if board.el2 else "off"
    command += ["-M", f"virt,virtualization={virtualization},gic-version=3,dtb-randomness=off"]
    command += ["-cpu", CPU, "-smp", "2", "-m", "2048", "-bios", str(UBOOT)]
    forward = f"hostfwd=tcp:127.0.0.1:{board.ssh_port}-:22"
    command += ["-netdev", f"user,id=lan,tftp={option(board.tftp)},{forward}"]
    command += ["-device", "virtio-net-pci,netdev=lan,romfile=", "-device", "virtio-rng-pci"]
    if board.sd_card.exists() and board.sd_card.stat().st_size > 0:
        drive = f"file={option(board.sd_card)},format=raw,if=none,id=sd,cache=unsafe,discard=unmap"
        command += ["-drive", drive, "-device", "virtio-blk-pci,drive=sd"]
    serial = f"socket,id=serial,path={sockets}/serial.sock,server=off,{reconnecting()}"
    command += ["-chardev", serial, "-serial", "chardev:serial"]
    command += ["-qmp", f"unix:{sockets}/qmp.sock,server=on,wait=off"]
    return [*command, "-display", "none", "-S", "-daemonize", "-pidfile", str(board.pid_file)]


def reconnecting() -> str:
    """The option by which the serial line comes back after a second, which has two names."""
    told = subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"version (\d+)\.(\d+)", told)
    is_new = version is not None and (int(version[1]), int(version[2])) >= (9, 2)
    return "reconnect-ms=1000" if is_new else "reconnect=1"


def option(path: Path) -> str:
    """A path inside a QEMU option, where a comma ends a value."""
    return str(path).replace(",", ",,")


def switch_off(board: Board) -> None:
    """Ends the machine, by force if it does not listen; a board that is off stays off."""
    pid = board.pid()
    if pid is None:
        return
    if quits_when_asked(board, pid):
        return
    qmp.kill(pid)
    if not qmp.wait_for_exit(pid, QUIT_TIMEOUT_S):
        raise BoardError(f"the board's process {pid} cannot be killed")


def quits_when_asked(board: Board, pid: int) -> bool:
    """Asks the machine to end and waits for it."""
    descriptor = os.open(board.folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with qmp.connect(f"/proc/self/fd/{descriptor}/qmp.sock", QUIT_TIMEOUT_S) as monitor:
            monitor.execute("quit")
    except qmp.MonitorError:
        # It may be on its way out already, and too fast to answer.
        return qmp.wait_for_exit(pid, 1.0)
    finally:
        os.close(descriptor)
    return qmp.wait_for_exit(pid, QUIT_TIMEOUT_S)


def insert(board: Board, image: str) -> None:
    """Writes the SD card; holes of the image stay holes."""
    if board.pid() is not None:
        raise BoardError("the board is on; switch it off before changing the SD card")
    source = next((path for path in (Path(image), board.images / image) if path.is_file()), None)
    if source is None:
        raise BoardError(f"no image {image}, nor one of that name in {board.images}")
    new_card = board.sd_card.with_suffix(".new")
    copied = subprocess.run(
        ["cp", "--sparse=always", "--", source, new_card],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if copied.returncode != 0:
        new_card.unlink(missing_ok=True)
        raise BoardError(f"cannot copy {source}: {copied.stderr.strip()}")
    new_card.replace(board.sd_card)


def destroy(board: Board) -> None:
    """Leaves nothing behind, neither process nor file."""
    with power_switch(board):
        switch_off(board)
        shutil.rmtree(board.folder)


if __name__ == "__main__":
    sys.exit(main())
