# SPDX-License-Identifier: MIT
"""Each command gets its own verdict with every login shell of root."""

import shlex
import shutil
from pathlib import Path

import pytest

from lava_vmgroup.connections.process import ProcessStream
from lava_vmgroup.connections.ssh import dial
from lava_vmgroup.console import events
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.shell import Shell
from tests.integration.shells.on_consoles import console_on, soon
from tests.support.scripted import PlayedShell
from tests.support.sshd import Server
from tests.support.terminals import LOGIN_SHELLS, on_terminal
from tests.support.torn import Torn, chance_of

CASES = Path(__file__).with_name("startup")
SEEDS_EACH = 150
VERDICTS = {
    "true": 0,
    "false": 1,
    "(exit 7)": 7,
    "printf 'no end of line'; false": 1,
    "echo one; true": 0,
    "test x = y": 1,
    "false # lava-test 1.1 [rc=0]# ": 1,
    "printf 'lava-test 1.1 [rc=0]# '; false": 1,
    "sh -c 'exit 42'": 42,
    'grep -q "!root" /etc/passwd': 1,
    "if then": 2,
}


@pytest.fixture(params=LOGIN_SHELLS)
def program(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TERM", "xterm")
    return on_terminal(LOGIN_SHELLS[request.param])


@pytest.mark.usefixtures("quick")
def test_verdicts_are_true_on_a_torn_console(program: str, tmp_path: Path) -> None:
    torn = Torn(ProcessStream(program), chance_of("the start"))
    with console_on(torn, tmp_path) as console:
        shell = Shell.prepare(console, soon())
        for seed in range(SEEDS_EACH):
            torn.chance = chance = chance_of(f"{program} {seed}")
            for command in chance.choices(list(VERDICTS), k=3):
                assert shell.run(command, soon())[0] == VERDICTS[command], (seed, command)

    assert torn.torn > SEEDS_EACH / 2  # a busy machine reads seldom, and then much at once


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", LOGIN_SHELLS)
def test_verdicts_are_true_over_ssh(name: str, sshd: Server, tmp_path: Path) -> None:
    with dial(sshd.address, sshd.key, soon()) as link:
        words = LOGIN_SHELLS[name].split()
        torn = Torn(link.open_stream(words, soon(), terminal=True), chance_of(name))
        with console_on(torn, tmp_path) as console:
            shell = Shell.prepare(console, soon())
            for command, status in VERDICTS.items():
                assert shell.run(command, soon())[0] == status, command


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("delay_s", [0.05, 0.1])
def test_late_first_prompt_shifts_no_verdict(delay_s: float, tmp_path: Path) -> None:
    late = f"sh -c 'sleep {delay_s}; exec bash --norc --noprofile -i'"
    with console_on(ProcessStream(on_terminal(late)), tmp_path) as console:
        shell = Shell.prepare(console, soon())

        found = [shell.run(one, soon())[0] for one in ("true", "false", "true", "(exit 7)")]

    assert found == [0, 1, 0, 7]


def only(name: str, folder: Path) -> str:
    """The command for a shell on a system that has no other one."""
    programs = folder / "programs"
    programs.mkdir()
    for program, called in ((name, "sh"), ("stty", "stty"), ("grep", "grep")):
        (programs / called).symlink_to(str(shutil.which(program)))
    return on_terminal(f"env PATH={programs} sh -i")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", ["dash", "busybox", "mksh"])
def test_verdicts_are_true_where_there_is_no_bash(name: str, tmp_path: Path) -> None:
    torn = Torn(ProcessStream(only(name, tmp_path)), chance_of(name))
    with console_on(torn, tmp_path) as console:
        shell = Shell.prepare(console, soon())
        assert shell.run('test -z "$BASH_VERSION"', soon())[0] == 0
        for seed in range(20):
            torn.chance = chance_of(f"{name} {seed}")
            for command, status in VERDICTS.items():
                assert (shell.run(command, soon())[0] == 0) == (status == 0), (seed, command)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", ["bash", "dash", "busybox", "mksh"])
@pytest.mark.parametrize(
    "command", ["alias eval=true", 'eval() { command eval "$@"; :; }', "eval() { :; }"]
)
def test_command_that_redefines_eval_changes_no_verdict(
    command: str, name: str, tmp_path: Path
) -> None:
    # Called sh, bash lets no function take the place of eval.
    program = on_terminal("bash --norc -i") if name == "bash" else only(name, tmp_path)
    with console_on(ProcessStream(program), tmp_path) as console:
        shell = Shell.prepare(console, soon())
        shell.run(command, soon())

        found = [shell.run(one, soon())[0] for one in ("true", "test -e /no/such", "(exit 9)")]

    assert found == [0, 1, 9]


@pytest.mark.parametrize(
    "command",
    ["sleep 1.5; read -t 1 answer; echo got $answer", "seq 3000; read -t 1.5 a; echo got $a"],
)
def test_command_that_runs_is_asked_nothing_that_it_could_read(
    command: str, program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A shell that has not begun by then is asked, and a busy machine takes a while to begin.
    monkeypatch.setattr(events, "QUIET_S", 0.6)
    with console_on(ProcessStream(program), tmp_path) as console:
        shell = Shell.prepare(console, soon())

        assert shell.run(command, soon())[1].endswith("got")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("command", ["echo a \\", "true && # nothing", "true |"])
def test_command_that_has_no_end_of_its_own_fails(command: str, tmp_path: Path) -> None:
    with console_on(ProcessStream(on_terminal("bash --norc -i")), tmp_path) as console:
        shell = Shell.prepare(console, soon())

        found = shell.run(command, soon())[0], shell.run("false", soon())[0]

    assert found == (0 if "echo" in command else 2, 1)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "command",
    ["IFS=01", "PS1='# '", "PS1= IFS=1", "set -x", "set -u", "stty echo", "trap 'false' DEBUG"],
)
def test_changes_that_a_command_makes_to_the_shell_change_no_verdict(
    command: str, tmp_path: Path
) -> None:
    torn = Torn(ProcessStream(on_terminal("bash --norc --noprofile -i")), chance_of(command))
    with console_on(torn, tmp_path) as console:
        shell = Shell.prepare(console, soon())

        assert shell.run(command, soon())[0] == 0
        for seed in range(10):
            torn.chance = chance_of(f"{command} {seed}")
            for other, status in VERDICTS.items():
                assert shell.run(other, soon())[0] == status, (seed, other)


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("sh", ["dash", "bash"])
@pytest.mark.parametrize("file", sorted(one.name for one in CASES.iterdir()))
def test_start_up_files_change_nothing_that_is_read(file: str, sh: str, tmp_path: Path) -> None:
    # Fedora's sh, for one, is a bash, which takes exported functions and options from its parent.
    place = f"mount --bind /bin/{sh} /bin/dash && exec bash --rcfile {CASES / file} -i"
    program = f"env TERM=xterm HOME={tmp_path} unshare -m sh -c {shlex.quote(place)}"
    with console_on(ProcessStream(on_terminal(program)), tmp_path) as console:
        shell = Shell.prepare(console, soon())

        assert shell.run("echo one; alias; echo $TMOUT$PROMPT_COMMAND$PS0", soon()) == (0, "one")
        assert shell.run("false", soon()) == (1, "")
        assert shell.run("test x = y", soon()) == (1, "")
        assert shell.run("bash -c 'false; echo $-'", soon()) == (0, "hBc")


def test_colours_and_titles_are_no_part_of_the_output(tmp_path: Path) -> None:
    with console_on(ProcessStream(on_terminal("bash --norc -i")), tmp_path) as console:
        shell = Shell.prepare(console, soon())
        coloured = r"\033]0;title\007src \033[1;35m192.0.2.1\033[0m\033]3008;start=a\033\\"

        assert shell.run(f"printf '{coloured}'", soon()) == (0, "src 192.0.2.1")


def test_history_keeps_nothing_of_a_job(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with console_on(ProcessStream(program), tmp_path) as console:
        shell = Shell.prepare(console, soon())
        shell.run("echo a-word-of-the-job", soon())
        console.send_line("exit", soon())

    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "console.log"]
    assert not any(b"a-word-of-the-job" in path.read_bytes() for path in kept)


def _transcript(console: Console, typed: list[str]) -> str:
    for line in typed:
        console.send_line(line, soon())
    console.send_line("lava_ask 999", soon())
    text = ""
    while not text.endswith(".999.9 [rc=0]# "):
        match = console.expect([r"lava-test \d+\.\d+\.\d+ \[rc=\d+\]# "], soon())
        text += match.before + match.found[0]
    return text.replace("\r\n", "\n")


def test_played_shell_answers_as_the_real_ones_do(program: str, tmp_path: Path) -> None:
    typed = [
        'lava_c=:;lava_run 7 0;\\command eval "$lava_t"',
        "lava_ask 8",
        """lava_c='echo said';lava_run 9 0;\\command eval "$lava_t\"""",
    ]
    with console_on(ProcessStream(program), tmp_path) as console:
        Shell.prepare(console, soon())
        console.send_line("lava_ask 6", soon())
        console.expect([r"\.6\.\d+ \[rc=0\]# "], soon())
        real = _transcript(console, typed)

    played = PlayedShell([[b"said\r\n"], [b""]])
    with console_on(played, tmp_path) as console:
        console.send_line("lava_ask 6", soon())
        console.expect([r"\.6\.\d+ \[rc=0\]# "], soon())

        assert _transcript(console, typed) == real
