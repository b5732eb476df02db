# SPDX-License-Identifier: MIT
"""The emulated board: its power switch, serial line and SD card, for real."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from lava_vmgroup.config import inventory
from tests.e2e.test_panic import SHELL_OF_THE_HOST
from tests.e2e.test_vm_group import HELLO, group
from tests.support.emulated_board import (
    AUTOBOOT,
    PROMPT,
    UBOOT_TIMEOUT_S,
    Board,
    answer,
    booted_board,
)
from tests.support.lab import Lab


@pytest.fixture
def make_board(images: Path, tmp_path: Path) -> Iterator[Callable[[str], Board]]:
    boards: list[Board] = []

    def make(name: str) -> Board:
        board = Board(tmp_path / name)
        board.must("create", "--images", str(images))
        boards.append(board)
        return board

    yield make
    for board in boards:
        board.clean_up()


@pytest.fixture
def board(make_board: Callable[[str], Board]) -> Board:
    return make_board("board")


@pytest.fixture(scope="module")
def booted(
    images: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Board]:
    """A board that booted by itself from its card, with a root shell on the serial line."""
    with booted_board(tmp_path_factory.mktemp("booted") / "board") as board:
        yield board


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}/cmdline").exists() and bool(Path(f"/proc/{pid}/cmdline").read_bytes())


def test_created_config_loads(board: Board) -> None:
    device = inventory.load_device("board01", (board.folder / "config",))

    commands = [command.text for command in device.boot_commands()]
    assert commands[-1].startswith("booti ")
    assert "root=/dev/vda1" in device.kernel_arguments()


def test_create_refuses_a_folder_in_use(board: Board) -> None:
    done = board.run("create")

    assert done.returncode == 1
    assert done.stderr == f"board.py: {board.folder} is not empty\n"


def test_destroy_refuses_other_folders(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()

    done = Board(tmp_path).run("destroy")

    assert done.returncode == 1
    assert "is no board" in done.stderr
    assert (tmp_path / "precious").exists()


def test_console_attached_before_power_on_hears_everything(board: Board) -> None:
    line = board.console()

    board.must("on")

    line.expect(r"^[^\x20-\x7e]*U-Boot 20\d\d\.")
    line.expect_exact(AUTOBOOT)


def test_console_attaches_to_a_running_board(board: Board) -> None:
    board.must("on")

    line = board.console()

    line.send("b")
    line.sendline("")
    line.expect_exact("=> ")


def test_typed_text_reaches_the_board_unchanged(board: Board) -> None:
    line = board.console()
    board.must("on")
    line.expect_exact(AUTOBOOT)
    line.send("b")
    line.expect_exact("=> ")

    line.send("echo one\\;\ttwo; version\r")

    line.expect(r"U-Boot 20\d\d\.")
    line.expect_exact("=> ")


def test_reset_returns_to_uboot_with_the_console_attached(board: Board) -> None:
    line = board.console()
    board.must("on")
    line.expect_exact(AUTOBOOT)

    board.must("reset")

    line.expect(r"U-Boot 20\d\d\.")
    line.expect_exact(AUTOBOOT)


def test_reset_switches_on_a_board_that_is_off(board: Board) -> None:
    line = board.console()

    board.must("reset")

    line.expect_exact(AUTOBOOT)


def test_on_twice_is_on(board: Board) -> None:
    board.must("on")
    first = board.pid()

    board.must("on")

    assert board.pid() == first


def test_off_leaves_no_process(board: Board) -> None:
    board.must("on")
    pid = board.pid()

    board.must("off")

    assert not is_alive(pid)


def test_off_is_idempotent(board: Board) -> None:
    board.must("off")
    board.must("on")
    board.must("off")
    board.must("off")


def test_off_spares_a_stranger_with_the_recorded_pid(board: Board) -> None:
    (board.folder / "qemu.pid").write_text(f"{os.getpid()}\n")

    board.must("off")

    assert is_alive(os.getpid())


def test_off_ends_a_board_that_does_not_listen(board: Board) -> None:
    board.must("on")
    pid = board.pid()
    (board.folder / "qmp.sock").unlink()

    board.must("off")

    assert not is_alive(pid)


def test_second_console_is_refused(board: Board) -> None:
    board.console()

    done = board.run("console")

    assert done.returncode == 1
    assert done.stderr == "board.py: the serial line is in use by another console\n"


def test_killed_console_can_be_replaced(board: Board) -> None:
    killed = board.console()
    killed.kill(9)
    killed.expect(pexpect.EOF)
    assert (board.folder / "serial.sock").exists()

    line = board.console()
    board.must("on")

    line.expect_exact(AUTOBOOT)


def test_two_boards_side_by_side(make_board: Callable[[str], Board]) -> None:
    first, second = make_board("first"), make_board("second")
    lines = [first.console(), second.console()]

    first.must("on")
    second.must("on")

    for line in lines:
        line.expect_exact(AUTOBOOT)
    first.must("off")
    assert is_alive(second.pid())


def test_folder_may_have_a_long_and_odd_name(make_board: Callable[[str], Board]) -> None:
    board = make_board("/".join(["a folder, with a rather long name"] * 4))
    board.must("insert", "vm-armhf.img")
    line = board.console()

    board.must("on")

    line.expect_exact(AUTOBOOT)


def test_taken_ssh_port_is_named(board: Board) -> None:
    port = board.ssh_port
    with socket.create_server(("127.0.0.1", port)):
        done = board.run("on")

    assert done.returncode == 1
    assert re.fullmatch(rf"board\.py: QEMU did not start: .*{port}.*\n", done.stderr)


def test_card_cannot_be_changed_while_the_board_is_on(board: Board) -> None:
    board.must("on")

    done = board.run("insert", "host.img")

    assert done.returncode == 1
    assert "switch it off" in done.stderr


def test_inserted_card_has_the_holes_of_the_image(board: Board, images: Path) -> None:
    board.must("insert", "host.img")

    card, image = (board.folder / "sdcard.img").stat(), (images / "host.img").stat()
    assert card.st_size == image.st_size
    assert card.st_blocks <= image.st_blocks


def test_booted_host_answers_on_the_ssh_port(booted: Board) -> None:
    port = booted.ssh_port

    with socket.create_connection(("127.0.0.1", port), timeout=UBOOT_TIMEOUT_S) as connection:
        connection.settimeout(UBOOT_TIMEOUT_S)
        banner = connection.recv(100)

    assert banner.startswith(b"SSH-2.0-OpenSSH")


def test_booted_host_has_kvm(booted: Board) -> None:
    assert answer(booted.consoles[0], "stat -c %F /dev/kvm") == "character special file"


def test_booted_host_has_what_guests_need(booted: Board) -> None:
    line = booted.consoles[0]

    assert answer(line, "modprobe -a tun bridge vhost_net; echo $?").endswith("0")
    assert answer(line, "qemu-system-aarch64 --version").startswith("QEMU emulator version")


def test_booted_host_reaches_the_dispatcher(booted: Board) -> None:
    route = answer(booted.consoles[0], "ip route get 10.0.2.2")

    assert "src 10.0.2.15" in route


def test_booted_board_is_taken_over_by_its_console_and_stays_up(
    booted: Board, tmp_path: Path
) -> None:
    booted.consoles.pop().close()
    lab = Lab(folder=tmp_path, config=booted.folder / "config")
    (tmp_path / "booted.conf").write_text("client_type = booted\n")
    job = {**group({"role": "guest", **SHELL_OF_THE_HOST}), "timeout": 120}
    del job["vm_group"]["vms"][0]["image"], job["actions"][0]
    words = ("--config", str(tmp_path / "booted.conf"))

    for output in ("first", "second"):
        ended = lab.finish(lab.start(lab.write_job(job, HELLO), *words, output=output), output)
        assert ended.status == 0, ended.stderr

    line = booted.console()
    line.sendline("")
    line.expect_exact("login: ")
    line.sendline("root")
    line.expect_exact(PROMPT)
    assert "authorized_keys" not in answer(line, "ls -A /root/.ssh /lava-vm-images")
