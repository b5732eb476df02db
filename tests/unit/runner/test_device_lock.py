# SPDX-License-Identifier: MIT
"""The lock of a board, between real processes."""

import math
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lava_vmgroup.base.errors import ConfigurationError, DeviceInUse
from lava_vmgroup.base.file_lock import try_lock
from lava_vmgroup.cli.arguments import parse
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.config.lab import Lab
from lava_vmgroup.runner import device_lock
from lava_vmgroup.runner.device_lock import exclusive
from lava_vmgroup.runner.lock_files import default_folder

HOLDS = """\
import subprocess, sys
from pathlib import Path
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.runner.device_lock import exclusive
from lava_vmgroup.config.lab import Lab

lab = Lab(
    device=DeviceConfig(hostname="board01", client_type="bootloader"),
    dispatcher=DispatcherConfig(lava_lock_dir=Path(sys.argv[1])),
    search_path=(),
)
with exclusive(lab, "job 'first'", Path("/results/of/first")):
    null = subprocess.DEVNULL
    child = subprocess.Popen(["sleep", "1000"], stdin=null, stdout=null, start_new_session=True)
    print(child.pid, flush=True)
    sys.stdin.read()
"""


def lab_with(folder: Path | None, client_type: str = "bootloader") -> Lab:
    device = DeviceConfig(hostname="board01", client_type=client_type)
    dispatcher = DispatcherConfig(lava_lock_dir=folder)
    return Lab(device=device, dispatcher=dispatcher, search_path=())


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return lab_with(tmp_path / "locks")


def lock_file(lab: Lab) -> Path:
    assert lab.dispatcher.lava_lock_dir is not None
    return lab.dispatcher.lava_lock_dir / "board01.lock"


@contextmanager
def holder(lab: Lab) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the board, with a program of its own that outlives it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(lab.dispatcher.lava_lock_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
        os.kill(child, signal.SIGKILL)


def waits(count: int, then: Callable[[], object]) -> Callable[[float], None]:
    """Pauses that take no time, with something that happens after the first `count`."""
    left = [count]

    def pause(_seconds: float) -> None:
        left[0] -= 1
        if left[0] == 0:
            then()

    return pause


def test_board_that_another_process_uses_is_refused_and_the_process_named(lab: Lab) -> None:
    with holder(lab) as process, pytest.raises(DeviceInUse) as refused, exclusive(lab, "x", None):
        pytest.fail("it was used")

    assert re.fullmatch(
        rf"board01 is in use by job 'first' \(process {process.pid}, "
        r"since \d{4}-\d\d-\d\d \d\d:\d\d, results in /results/of/first\)",
        refused.value.message,
    )
    assert refused.value.exit_status == 4


def test_killed_process_frees_its_board_at_once_although_its_programs_live_on(lab: Lab) -> None:
    with holder(lab) as process:
        process.kill()
        process.wait()

        with exclusive(lab, "x", None):
            assert f'"pid": {os.getpid()},' in lock_file(lab).read_text()


def test_waiting_process_gets_the_board_when_the_other_ends(lab: Lab) -> None:
    with holder(lab) as process:

        def end() -> None:
            process.communicate("")

        with exclusive(lab, "x", None, limit_s=1e9, pause=waits(3, end)):
            assert process.returncode == 0


def test_waiting_process_gives_up_when_its_time_is_over(lab: Lab) -> None:
    with (
        holder(lab),
        pytest.raises(DeviceInUse, match=r"in use by job 'first'.* after 0.1 s of waiting"),
        exclusive(lab, "x", None, limit_s=0.1),
    ):
        pytest.fail("it was used")


def test_note_of_a_dead_process_is_not_taken_for_that_of_the_one_that_holds_the_board(
    lab: Lab,
) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    with holder(lab) as process:
        note = lock_file(lab).read_text()
        lock_file(lab).write_text(note.replace(f": {process.pid},", f": {dead.pid},"))

        def correct() -> None:
            lock_file(lab).write_text(note)

        with (
            pytest.raises(DeviceInUse, match=f"process {process.pid},"),
            exclusive(lab, "x", None, pause=waits(1, correct)),
        ):
            pytest.fail("it was used")


def test_board_is_refused_although_the_note_says_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_lock, "_NOTING_S", 0)
    with holder(lab):
        for note in ("", "nonsense", "[1]", '{"pid": []}', "[" * 60000):
            lock_file(lab).write_text(note)

            with (
                pytest.raises(DeviceInUse, match="board01 is in use by another process"),
                exclusive(lab, "x", None),
            ):
                pytest.fail("it was used")


def test_lock_is_open_to_all_users_whatever_the_umask_is(lab: Lab) -> None:
    mask = os.umask(0o077)
    try:
        with exclusive(lab, "x", None):
            pass
    finally:
        assert os.umask(mask) == 0o077

    path = lock_file(lab)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o1777
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    assert path.read_text() == ""


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_link_in_place_of_a_lock_is_refused_and_its_file_left_alone(
    lab: Lab, tmp_path: Path, link: Callable[[Path, Path], None]
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("of somebody")
    lock_file(lab).parent.mkdir()
    link(precious, lock_file(lab))

    with pytest.raises(ConfigurationError, match=r"board01\.lock"), exclusive(lab, "x", None):
        pytest.fail("it was used")

    assert precious.read_text() == "of somebody"


def test_folder_that_cannot_be_used_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("")

    with (
        pytest.raises(ConfigurationError, match="cannot use the lock") as refused,
        exclusive(lab_with(tmp_path / "locks"), "x", None),
    ):
        pytest.fail("it was used")

    assert "LAVA_LOCK_DIR" in str(refused.value.hint)


def test_lock_that_is_removed_in_the_moment_in_which_it_is_taken_is_made_again(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[Path] = []

    def take(descriptor: int, kind: int) -> bool:
        if not removed:
            removed.append(lock_file(lab))
            lock_file(lab).unlink()
        return try_lock(descriptor, kind)

    monkeypatch.setattr(device_lock, "try_lock", take)

    with exclusive(lab, "x", None):
        assert f'"pid": {os.getpid()},' in lock_file(lab).read_text()


def test_hosts_that_are_up_already_and_vms_of_sub_jobs_lock_nothing(lab: Lab) -> None:
    assert lab.dispatcher.lava_lock_dir is not None
    for device in (None, DeviceConfig(hostname="rack01", client_type="ssh")):
        shared = replace(lab, device=device)
        with exclusive(shared, "x", None), exclusive(shared, "y", None):
            assert not lab.dispatcher.lava_lock_dir.exists()


def test_folder_of_locks_does_not_depend_on_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    before = default_folder()
    for name in ("HOME", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "/nowhere")

    assert default_folder() == before
    assert stat.S_IMODE(before.parent.stat().st_mode) == 0o1777


@pytest.mark.parametrize(
    ("words", "limit_s"),
    [
        ("job.json", 0),
        ("--wait job.json", math.inf),
        ("job.json --wait", math.inf),
        ("--wait --job-id 3 job.json", math.inf),
        ("--wait 17.0.json", math.inf),
        ("--wait 60 job.json", 60),
        ("--wait=1.5 job.json", 1.5),
    ],
)
def test_wait_takes_the_word_after_it_only_if_it_is_a_number(words: str, limit_s: float) -> None:
    options = parse(words.split())

    assert options.wait == limit_s
    assert options.job.suffix == ".json"


@pytest.mark.parametrize("limit", ["-1", "nan", "a while", ""])
def test_wait_for_what_is_no_time_is_refused(
    limit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse([f"--wait={limit}", "job.json"])

    assert "expected a number of seconds" in capsys.readouterr().err
