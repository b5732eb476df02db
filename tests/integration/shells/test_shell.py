# SPDX-License-Identifier: MIT
"""The shell dialogue against the shells that systems have, on real pseudo-terminals."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import ConfigurationError, InfrastructureError
from lava_vmgroup.connections.process import ProcessStream
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.login import Login, reach_shell
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.console.typed_files import Typed, TypedFiles

SHELLS = {
    "bash": "setsid --ctty --wait env PS1='root@board:~# ' bash --norc --noprofile -i",
    "dash": "setsid --ctty --wait env PS1='root@board:~# ' dash -i",
    "busybox": "setsid --ctty --wait env PS1='root@board:~# ' busybox sh -i",
}


@pytest.fixture(params=SHELLS)
def console(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Console]:
    with Console(ProcessStream(SHELLS[request.param]), Recorder(tmp_path / "log")) as console:
        yield console


def soon() -> Deadline:
    return Deadline.after("the test", 30.0)


def prepared(console: Console) -> Shell:
    reach_shell(console, Login(test_image_prompts=["root@board:~# "]), soon())
    return Shell.prepare(console, soon())


def test_status_and_output_of_commands(console: Console) -> None:
    shell = prepared(console)

    assert shell.run("printf 'one\\ntwo\\n'", soon()) == (0, "one\ntwo")
    assert shell.run("(exit 42)", soon()) == (42, "")
    assert shell.run("true", soon()) == (0, "")


def test_prompt_text_inside_output_is_no_prompt(console: Console) -> None:
    shell = prepared(console)

    assert shell.run("echo 'lava-test [rc=x]# root@board:~# '", soon()) == (
        0,
        "lava-test [rc=x]# root@board:~# ",
    )


def test_failed_command_is_an_error_with_its_output(console: Console) -> None:
    with pytest.raises(InfrastructureError, match="ended with status 3") as caught:
        prepared(console).check_run("echo because; (exit 3)", soon())

    assert caught.value.last_lines == ("because",)


LOGIN_PROGRAM = """
printf '\\nboard login: '; read name
printf 'Password: '; read password
if [ "$name:$password" = root:secret ]; then printf 'Welcome\\nroot@board:~# '; read _
else exec sh "$0"; fi
"""


def root_login(password: str) -> Login:
    return Login(
        test_image_prompts=["root@board:~# "],
        login_prompt="login: ",
        username="root",
        password_prompt="Password: ",
        password=password,
    )


def test_login_dialogue_is_answered(tmp_path: Path) -> None:
    program = tmp_path / "login"
    program.write_text(LOGIN_PROGRAM)
    with Console(ProcessStream(f"sh {program}"), Recorder(tmp_path / "log")) as console:
        reach_shell(console, root_login("secret"), soon())

    assert b"Welcome" in (tmp_path / "log").read_bytes()


def test_refused_login_is_a_configuration_error(tmp_path: Path) -> None:
    program = tmp_path / "login"
    program.write_text(LOGIN_PROGRAM)
    with (
        Console(ProcessStream(f"sh {program}"), Recorder(tmp_path / "log")) as console,
        pytest.raises(ConfigurationError, match="refused the login of 'root'"),
    ):
        reach_shell(console, root_login("wrong"), soon())


FLUSHING_LOGIN = """
import sys, termios, time
input("board login: ")
time.sleep(1)
termios.tcflush(0, termios.TCIFLUSH)
print("Last login: never")
while input("user@board:~$ ") != "sudo su":
    print("what?")
input("root@board:~# ")
"""


def test_login_commands_outlive_a_login_that_flushes_its_input(tmp_path: Path) -> None:
    program = tmp_path / "login.py"
    program.write_text(FLUSHING_LOGIN)
    login = Login(
        test_image_prompts=["root@board:~# "],
        login_prompt="login: ",
        username="user",
        login_commands=["sudo su"],
    )
    stream = ProcessStream(f"{sys.executable} {program}")
    with Console(stream, Recorder(tmp_path / "log")) as console:
        reach_shell(console, login, Deadline.after("the shell", 10.0))


def test_torn_prompt_is_asked_for_again(tmp_path: Path) -> None:
    program = 'sh -c \'printf "root@bo[ 1.5] usb 1-1\\n"; read _; printf "root@board:~# "; read _\''
    with Console(ProcessStream(program), Recorder(tmp_path / "log")) as console:
        reach_shell(
            console, Login(test_image_prompts=["root@board:~# "]), Deadline.after("prompt", 4.0)
        )


def test_console_program_that_does_not_exist_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="cannot start the console command 'no-such-prog"):
        ProcessStream("no-such-program --now")


def test_an_interrupted_command_gives_the_prompt_back(console: Console) -> None:
    shell = prepared(console)
    console.send_line("sh -c 'echo be\"\"gun; sleep 1000'", soon())
    console.expect(["begun"], soon())

    shell.interrupt(soon())

    assert shell.run("echo again", soon()) == (0, "again")


def test_command_that_ignores_the_first_interrupt_gets_another_in_time(
    console: Console, tmp_path: Path
) -> None:
    shell = prepared(console)
    program = tmp_path / "program.py"
    program.write_text(
        "from signal import *\n"
        "signal(SIGQUIT, SIG_IGN)\n"
        "signal(SIGINT, lambda *_: signal(SIGINT, SIG_DFL))\n"
        "print('begun', flush=True)\n"
        "while True: pause()\n"
    )
    console.send_line(f"{sys.executable} {program}", soon())
    console.expect(["begun"], soon())

    shell.interrupt(Deadline.after("interrupting", 15.0))

    assert shell.run("echo again", soon()) == (0, "again")


def test_files_are_read_from_a_console(console: Console, tmp_path: Path) -> None:
    shell = prepared(console)
    data = os.urandom(9000)
    (tmp_path / "file").write_bytes(data)

    assert (
        TypedFiles(shell, str(tmp_path / "tests")).read(f"cat {tmp_path}/file", 20000, soon())
        == data
    )
    assert (
        TypedFiles(shell, str(tmp_path / "tests")).read(f"cat {tmp_path}/file", 5000, soon())
        == data[:5000]
    )
    assert TypedFiles(shell, str(tmp_path / "tests")).read("true", 5000, soon()) == b""


def test_noise_of_the_kernel_does_not_spoil_a_file(console: Console, tmp_path: Path) -> None:
    shell = prepared(console)
    (tmp_path / "file").write_bytes(b"content")
    # The first time, a line of the kernel's is in the midst of what base64 prints.
    shell.check_run(
        f"base64() {{ [ -e {tmp_path}/once ] || {{ >{tmp_path}/once; echo '[ 1.5] usb 1-12'; }}; "
        "command base64; }",
        soon(),
    )

    assert (
        TypedFiles(shell, str(tmp_path / "tests")).read(f"cat {tmp_path}/file", 5000, soon())
        == b"content"
    )


def test_a_file_that_stays_damaged_is_an_error(console: Console, tmp_path: Path) -> None:
    shell = prepared(console)
    (tmp_path / "file").write_bytes(b"content")
    shell.check_run("base64() { echo QUJD; }", soon())

    with pytest.raises(InfrastructureError, match="is damaged"):
        TypedFiles(shell, str(tmp_path / "tests")).read(f"cat {tmp_path}/file", 5000, soon())


def test_typing_that_is_interrupted_leaves_nothing_outside_the_tests(
    console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell, before = prepared(console), set(Path("/").iterdir())
    run, commands = shell.check_run, iter(range(10))

    def run_until_interrupted(command: str, deadline: Deadline) -> str:
        if next(commands) == 9:
            raise InfrastructureError("the console was closed")
        return run(command, deadline)

    monkeypatch.setattr(shell, "check_run", run_until_interrupted)
    archive = Typed(str(tmp_path), os.urandom(100_000))
    with pytest.raises(InfrastructureError, match="was closed"):
        TypedFiles(shell, str(tmp_path / "tests")).unpack([archive], soon())

    assert set(Path("/").iterdir()) == before
    assert (tmp_path / "tests/typed").stat().st_size > 0
