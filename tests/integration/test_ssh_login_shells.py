# SPDX-License-Identifier: MIT
"""Hosts whose user has another login shell than bash, or start-up files that do not keep quiet."""

import shutil
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.connections import ssh
from lava_vmgroup.connections.link import Link
from lava_vmgroup.connections.ssh import dial
from tests.integration.test_whole_jobs import HEAD
from tests.support.local_lab import entry, local_lab, shell_action, write_job
from tests.support.sshd import Server

SHELLS = (
    ("bash",),
    ("busybox", "ash"),
    ("dash",),
    ("fish",),
    ("ksh93",),
    ("mksh",),
    ("tcsh",),
    ("yash",),
    ("zsh",),
)
NOISE = 'echo Welcome to the lab\necho "a word of warning" >&2\n'
START_UP_FILES = {
    "bash": ".bashrc",
    "fish": ".config/fish/config.fish",
    "tcsh": ".tcshrc",
    "zsh": ".zshenv",
}
WORDS = (
    *(
        "a b",
        "$HOME",
        "`id`",
        "'",
        '"',
        "*",
        "",
        "ä\n;",
        "!!",
        "!root",
        "x!y",
        "\\",
        "\\'",
        "a\\\nb",
    ),
    *("~", "{a,b}", "^a^b^", "%1", "#x", "[a-z]", "&", "|", "\t", "\x01", "\x7f", "=ls", "<(x)"),
    *("x\n", "-n", "\\n", "\\0101", "$((1+1))", "(a)", ";", "x" * 2000),
)


def soon() -> Deadline:
    return Deadline.after("the test", 60.0)


def works(link: Link, folder: Path) -> None:
    """Check all that a job does with a link."""
    assert link.check_run(["printf", "<%s>", *WORDS], soon()) == "".join(f"<{w}>" for w in WORDS)
    done = link.run(["sh", "-c", "cat; echo oops >&2; exit 9"], soon(), stdin=b"input\n")
    assert (done.status, done.output) == (9, "input\noops\n")
    lines = link.open_lines(["cat"], soon())
    assert [lines.ask(word, soon()) for word in ("beat", "again")] == ["beat", "again"]
    lines.close()
    with link.holding(["sh", "-c", "echo held; exec cat >/dev/null"], soon()) as said:
        assert said == "held"
    terminal = link.open_stream(["sh", "-c", "tty; exec cat"], soon(), terminal=True)
    assert terminal.read().startswith(b"/dev/")
    terminal.close()
    (folder / "file").write_bytes(b"content")
    assert link.put(folder / "file", f"{folder}/copy", soon()) == len(b"content")
    assert link.get_bytes(f"{folder}/copy", 100, soon()) == b"content"


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_host_works_with_any_login_shell(
    shell: tuple[str, ...], sshd: Server, tmp_path: Path
) -> None:
    assert shutil.which(shell[0]), f"install the package of {shell[0]}"
    sshd.log_in_with(*shell)

    with dial(sshd.address, sshd.key, soon()) as link:
        works(link, tmp_path)


@pytest.mark.parametrize("shell", START_UP_FILES)
def test_text_of_start_up_files_is_not_taken_for_the_commands(
    shell: str, sshd: Server, tmp_path: Path
) -> None:
    file = sshd.home / START_UP_FILES[shell]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(NOISE.replace(" >&2", "") if shell == "tcsh" else NOISE)
    sshd.log_in_with(shell)

    with dial(sshd.address, sshd.key, soon()) as link:
        works(link, tmp_path)


def test_warnings_of_a_locale_that_the_host_lacks_are_no_output(sshd: Server) -> None:
    (sshd.home / ".bashrc").write_text("export LC_ALL=xx_XX.UTF-8\n")

    with dial(sshd.address, sshd.key, soon()) as link:
        assert link.check_run(["perl", "-e", "print 1"], soon()) == "1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("echo bye for now; exit 0", "it said 'bye for now' and ended with status 0"),
        ("echo no such luck >&2; exit 3", "it said 'no such luck' and ended with status 3"),
        ("exit", "it said nothing and ended with status 0"),
        ("exec /usr/sbin/nologin", "This account is currently not available"),
        ("while echo y; do :; done", "prints text without an end"),
    ],
)
def test_start_up_file_that_lets_no_command_run_is_named(
    text: str, said: str, sshd: Server
) -> None:
    (sshd.home / ".bashrc").write_text(f"{text}\n")

    with pytest.raises(InfrastructureError) as caught:
        dial(sshd.address, sshd.key, soon())

    assert said in caught.value.message
    assert "~/.bashrc" in str(caught.value.hint)


@pytest.mark.parametrize("text", ["read -r answer", "exec bash", "sleep 30"])
def test_start_up_file_that_waits_is_named(
    text: str, sshd: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "_SHELL_S", 2.0)
    (sshd.home / ".bashrc").write_text(f"{text}\n")

    with pytest.raises(InfrastructureError, match="does not begin with a command") as caught:
        dial(sshd.address, sshd.key, soon())

    assert "~/.bashrc" in str(caught.value.hint)


def test_whole_job_passes_with_another_shell_noise_and_single_sessions(
    sshd: Server, tmp_path: Path
) -> None:
    config = sshd.home / START_UP_FILES["fish"]
    config.parent.mkdir(parents=True)
    config.write_text(NOISE)
    sshd.log_in_with("fish")
    sshd.configure("MaxSessions 1")
    document = {
        "timeout": 120,
        "vm_group": {"host": {"device_type": "rack"}, "vms": [entry("guest")]},
        "actions": [shell_action("hello.yaml", "host"), shell_action("hello.yaml", "guest")],
    }
    with local_lab(tmp_path, sshd) as lab:
        ended = lab.run(write_job(lab, document, hello=f"{HEAD}run: {{steps: ['true']}}\n"))

    assert ended.status == 0, ended.stderr
