# SPDX-License-Identifier: MIT
"""A login or a boot loader where a shell is expected is named at once."""

from pathlib import Path

import pytest

from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.connections.process import ProcessStream
from lava_vmgroup.console.shell import Shell
from tests.integration.shells.on_consoles import console_on, soon
from tests.support.terminals import on_terminal

LOGIN = """
stty sane
while :; do
    printf '\\r\\nboard login: '; read name || exit
    [ -z "$name" ] || { printf 'Password: '; read word || exit; }
done
"""


BOOT_LOADER = """
stty sane
printf 'U-Boot 2023.01\\r\\n=> '
while read command; do printf 'Unknown command\\r\\n=> '; done
"""


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("program", "found"),
    [(LOGIN, "shows a login prompt"), (BOOT_LOADER, "shows the prompt of a boot loader")],
)
def test_what_is_no_shell_is_named(program: str, found: str, tmp_path: Path) -> None:
    script = tmp_path / "program"
    script.write_text(program)
    with (
        console_on(ProcessStream(on_terminal(f"sh {script}")), tmp_path) as console,
        pytest.raises(InfrastructureError, match=f"the shell is gone: the console {found}"),
    ):
        Shell.prepare(console, soon())


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("echo", ["echo", "-echo"])
def test_login_that_takes_what_is_typed_for_name_and_password_is_named(
    echo: str, tmp_path: Path
) -> None:
    # So slow that the typed lines wait: from then on, two come at once.
    slow = LOGIN.replace("stty sane", f"sleep 1; stty sane {echo}")
    (tmp_path / "login").write_text(slow)
    with (
        console_on(ProcessStream(on_terminal(f"sh {tmp_path}/login")), tmp_path) as console,
        pytest.raises(InfrastructureError, match="the console shows a login prompt"),
    ):
        Shell.prepare(console, soon())


@pytest.mark.usefixtures("quick")
def test_shell_that_ended_and_left_a_login_is_named(tmp_path: Path) -> None:
    (tmp_path / "login").write_text(LOGIN)
    program = f"sh -c 'bash --norc -i; exec sh {tmp_path}/login'"
    with console_on(ProcessStream(on_terminal(program)), tmp_path) as console:
        shell = Shell.prepare(console, soon())

        with pytest.raises(InfrastructureError, match="shows a login prompt"):
            shell.run("exit", soon())


@pytest.mark.usefixtures("quick")
def test_words_of_a_login_in_a_commands_output_are_no_login(tmp_path: Path) -> None:
    with console_on(ProcessStream(on_terminal("bash --norc -i")), tmp_path) as console:
        shell = Shell.prepare(console, soon())

        status, output = shell.run("printf 'board login: '; sleep 0.3; echo nobody", soon())

    assert (status, output) == (0, "board login: nobody")
