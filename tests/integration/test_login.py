# SPDX-License-Identifier: MIT
"""The way to a shell: prompts of all kinds of systems, real shells, and a real login."""

import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import ConfigurationError, DeadlineExpired
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.connections.process import ProcessStream
from lava_vmgroup.console import login
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.login import login_of, reach_shell
from lava_vmgroup.console.recorder import Recorder
from tests.support.missing import missing

PROMPTS = [
    "# ",
    "localhost:~ # ",
    "\x1b]3008;start=ab;type=shell;cwd=/root\x1b\\[root@fedora ~]# \x1b]133;B\x1b\\",
]
NO_PROMPTS = [
    "Loading: ####",
    "root@host:~$ ",
    "Cannot open access to console, the root account is locked.",
]


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Callable[[str], Console]]:
    """Opens a console on which a program of this machine runs."""
    made: list[Console] = []

    def make(script: str) -> Console:
        program = tmp_path / "program.sh"
        program.write_text(script)
        opened = Console(ProcessStream(f"bash {program}"), Recorder(tmp_path / "log"))
        made.append(opened.__enter__())
        return opened

    yield make
    for one in made:
        one.close()


def soon(limit_s: float = 60.0) -> Deadline:
    return Deadline.after("the login or shell prompt", limit_s)


def saying(text: str, then: str = "exec sleep 100") -> str:
    """A program that says something, without a newline at the end."""
    return f"stty -opost -echo; printf %s {shlex.quote(text)}; {then}"


@pytest.mark.parametrize("prompt", PROMPTS)
def test_prompts_of_all_kinds_of_systems_are_known(
    console: Callable[[str], Console], prompt: str
) -> None:
    reach_shell(console(saying(f"starting\r\n{prompt}")), login_of(DeviceConfig()), soon())


@pytest.mark.parametrize("text", NO_PROMPTS)
def test_what_is_no_prompt_is_quoted_with_what_to_set(
    console: Callable[[str], Console], text: str
) -> None:
    with pytest.raises(
        DeadlineExpired, match="timed out: the login or shell prompt, limit 3 s;"
    ) as caught:
        reach_shell(console(saying(f"starting\r\n{text}")), login_of(DeviceConfig()), soon(3.0))

    assert "within" not in caught.value.message
    assert text.strip() in str(caught.value.hint)
    assert "test_image_prompts" in str(caught.value.hint)


def test_prompt_that_goes_on_as_a_line_is_none(console: Callable[[str], Console]) -> None:
    boot = "for n in 1 2 3 4; do printf '# '; sleep 0.3; echo heading; done; printf 'host:~ # '"
    opened = console(f"stty -echo; {boot}; exec sleep 100")

    reach_shell(opened, login_of(DeviceConfig()), soon())

    assert opened.last_lines[-1] == "host:~ # "


def test_lab_that_names_its_prompt_gets_no_other(
    console: Callable[[str], Console], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "_PAUSE_S", 0.1)
    config = DeviceConfig(test_image_prompts=("root@new:~#",))
    old = "while printf 'root@old:~# ' && read -r line; do :; done"

    with pytest.raises(ConfigurationError, match="shows the prompt 'root@old:~#'") as caught:
        reach_shell(console(old), login_of(config), soon())
    assert "test_image_prompts" in str(caught.value.hint)


@pytest.mark.parametrize("before", ["", "\x1b[?2004h"])
def test_prompt_of_the_lab_may_come_in_pieces(
    console: Callable[[str], Console], before: str
) -> None:
    config = DeviceConfig(test_image_prompts=(r"root@new:~# ",))
    late = "sleep 0.5; printf ' '; exec sleep 100"

    opened = console(saying(f"{before}root@new:~#", late))

    reach_shell(opened, login_of(config), soon())


def test_coloured_prompt_is_the_one_that_the_lab_names(console: Callable[[str], Console]) -> None:
    config = DeviceConfig(test_image_prompts=(r"root@new:~#",))

    reach_shell(
        console(saying("\x1b[32mroot@new\x1b[0m:~\x1b[1m#\x1b[0m ")), login_of(config), soon()
    )


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize(
    "shell",
    [
        "bash --norc --noprofile -i",
        "busybox sh -i",
        "dash -i",
        "zsh -f -i",
        "mksh -i",
        "tcsh -f -i",
    ],
)
def test_prompt_of_a_real_shell_of_roots_is_known(
    console: Callable[[str], Console], tmp_path: Path, shell: str
) -> None:
    if shutil.which(shell.split()[0]) is None:
        missing(shell.split()[0])

    command = f"cd / && exec env -i HOME={tmp_path} PATH=/usr/bin:/bin TERM=xterm {shell}"
    reach_shell(console(command), login_of(DeviceConfig()), soon())


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize(
    ("shell", "prompt"),
    [
        ("bash --norc --noprofile -i", "PS1='λ '"),
        ("bash --norc --noprofile -i", "PS1='\\n╭─root@board ~\\n╰─# '"),
        ("bash --norc --noprofile -i", "PS1='root@board:/srv/#1 # '"),
        ("zsh -f -i", "PS1='%m → ' RPROMPT='[%T]'"),
        ("dash -i", "PS1='ready> '"),
    ],
)
def test_prompt_that_looks_like_none_is_asked_whether_it_is_a_root_shells(
    console: Callable[[str], Console],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shell: str,
    prompt: str,
) -> None:
    monkeypatch.setattr(login, "_NUDGE_S", 0.5)
    command = f"cd / && exec env -i HOME={tmp_path} PATH=/usr/bin:/bin TERM=xterm {prompt} {shell}"

    reach_shell(console(command), login_of(DeviceConfig()), soon(600.0))


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("MyBoard> ", "echo Unknown command"),
        ("user@board:~$ ", "PATH=$PWD:$PATH; eval $line"),
        ("Loading: ####", "break"),
    ],
)
def test_what_runs_no_command_as_root_is_no_shell_of_roots(
    console: Callable[[str], Console],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prompt: str,
    answer: str,
) -> None:
    monkeypatch.setattr(login, "_NUDGE_S", 0.2)
    user = tmp_path / "id"
    user.write_text("#!/bin/sh\necho 1000\n")
    user.chmod(0o755)
    loop = f"while printf %s '{prompt}' && read -r line; do {answer}; done"

    with pytest.raises(DeadlineExpired):
        reach_shell(
            console(f"cd {tmp_path}; {loop}; stty -echo; exec cat"),
            login_of(DeviceConfig()),
            soon(4.0),
        )


def test_silent_console_whose_prompt_was_torn_is_asked_soon(
    console: Callable[[str], Console], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "_NUDGE_S", 0.5)
    torn = r"printf 'root@debi[   12.345678] random: crng init done\nan:~'; "

    reach_shell(
        console(f"{torn}read -r x; printf 'root@debian:~# '; exec cat"),
        login_of(DeviceConfig()),
        soon(600.0),
    )


GETTY = """\
stty sane
printf '\\033[H\\033[JDebian GNU/Linux 12 board ttyS0\\n\\n'
while :; do
    printf 'board login: '; read -r name
    {before}
    if [ -n "{password}" ]; then stty -echo; printf 'Password: '; read -r word; stty echo; echo; fi
    [ "$name:$word" = "root:{password}" ] && break
    printf 'Login incorrect\\n\\n'
done
printf '\\033[?2004hroot@board:~# '; exec cat
"""


def getty(*, password: str = "", before: str = ":") -> str:
    """A login that knows root, by this password."""
    return GETTY.format(password=password, before=before)


@pytest.mark.parametrize("password", ["", "s3cret"])
def test_usual_login_prompts_need_no_patterns(
    console: Callable[[str], Console], password: str
) -> None:
    config = DeviceConfig(username="root", password=password)

    reach_shell(console(getty(password=password)), login_of(config), soon())


def test_automatic_login_is_left_alone(console: Callable[[str], Console]) -> None:
    auto = "printf 'board login: '; sleep 0.3; echo 'root (automatic login)'; printf 'board:~# '"

    reach_shell(console(f"{auto}; exec cat"), login_of(DeviceConfig()), soon())


@pytest.mark.parametrize(
    ("command", "config", "message", "hint"),
    [
        (getty(), {}, r"asks for a login \('board login:'\)", "login_prompt and username"),
        (
            getty(password="s3cret"),
            {"username": "root"},
            r"asks for a password \('Password:'\)",
            "password_prompt and password",
        ),
        (
            getty(password="s3cret"),
            {"username": "root", "password": "wrong"},
            "refused the login of 'root'",
            "check username and password",
        ),
        (
            getty(before="echo 'You are required to change your password immediately.'"),
            {"username": "root"},
            "wants a new password of 'root'",
            "expired",
        ),
        (
            getty(before="echo 'Your account has expired; please contact your administrator.'"),
            {"username": "root"},
            "refused the login",
            "check",
        ),
        (saying("-- Press any key to proceed --"), {}, "asks how it is to be set up", "firstboot"),
    ],
)
def test_login_that_cannot_be_answered_is_said_at_once(
    console: Callable[[str], Console],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    config: dict[str, Any],
    message: str,
    hint: str,
) -> None:
    monkeypatch.setattr(login, "_ASKING_S", 1.0)

    with pytest.raises(ConfigurationError, match=message) as caught:
        reach_shell(console(command), login_of(DeviceConfig(**config)), soon(600.0))
    assert hint in str(caught.value.hint)


def test_console_that_must_be_activated_is(console: Callable[[str], Console]) -> None:
    wrt = "echo 'Please press Enter to activate this console.'; read -r x; printf 'root@wrt:/# '"

    reach_shell(console(f"{wrt}; exec cat"), login_of(DeviceConfig()), soon(600.0))
