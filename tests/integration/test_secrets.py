# SPDX-License-Identifier: MIT
"""Secrets of a job and its lab, in whole jobs: nobody reads them who need not.

Looked at are all that a job writes and prints, with its log at its most talkative, and what any
user of the dispatcher may see meanwhile: command lines and readable temporary files.
"""

import base64
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.integration.test_whole_jobs import HEAD
from tests.support import dashboard
from tests.support.dashboard import Dashboard
from tests.support.lab import Ended, Lab, coordinator
from tests.support.local_lab import entry, write_job
from tests.support.onlooker import Onlooker, onlooker
from tests.support.played_board import PASSWORD, TYPE, board_lab
from tests.support.private_web import PrivateWeb, basic, private_web
from tests.support.sshd import Server

WEB, QUERY, PROXY, COOKIE, WRONG = "w3b/w0rd", "s1gn4tur3", "pr0xy-w0rd", "c00k13", "wr0ng-w0rd"
POWER, COORDINATOR = "sw1tch-w0rd", "a token of a lab"
SECRETS = {
    WEB: "me",
    QUERY: "",
    PROXY: "lab",
    COOKIE: "",
    WRONG: "me",
    POWER: "pdu",
    COORDINATOR: "",
    PASSWORD: "tester",
    dashboard.TOKEN: dashboard.USER,
    "PRIVATE KEY": "",
}
"""The secrets, each with its user."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A lab with secrets, and somebody who would like to know them."""

    lab: Lab
    web: PrivateWeb
    dashboard: Dashboard
    onlooker: Onlooker

    def url(self, name: str, password: str = WEB) -> str:
        """The URL of a file with credentials."""
        return f"http://me:{quote(password, safe='')}@{self.web.address}/{name}"

    def job(self, *, kernel: str = "", repository: str = "", **login: str) -> dict[str, Any]:
        """A job that uses all secrets."""
        folder = str(self.lab.folder / "tests/%s")
        sources = [{"git-repo": repository or self.url("tests.git"), "testdef": "t.yaml"}]
        commands: list[tuple[str, dict[str, Any]]] = [
            (
                "deploy_linaro_kernel",
                {
                    "kernel": kernel or self.url(f"kernel?signature={QUERY}"),
                    "login_prompt": "board login:",
                    "username": "tester",
                    "password_prompt": "Password:",
                    "password": PASSWORD,
                    **login,
                    "role": "host",
                },
            ),
            ("lava_test_shell", {"testdef_repos": sources, "lava_test_dir": folder}),
            (
                "submit_results",
                {
                    "server": self.dashboard.server,
                    "stream": "/private/x/",
                    "token": dashboard.TOKEN,
                },
            ),
        ]
        return {
            "timeout": 120,
            "logging_level": "DEBUG",
            "vm_group": {"host": {"device_type": TYPE}, "vms": [entry("guest")]},
            "actions": [{"command": name, "parameters": words} for name, words in commands],
        }

    def run(self, job: Mapping[str, Any]) -> Ended:
        """Run a job."""
        return self.lab.run(write_job(self.lab, job))

    def leaks(self, *texts: str) -> list[str]:
        """The secrets in what a job wrote, in what was seen, and in more `texts`."""
        folders = [path for path in self.lab.folder.glob("results*") if path.is_dir()]
        written = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        content = [path.read_bytes() for path in written]
        seen = [*content, *self.onlooker.seen, *(text.encode() for text in texts)]
        return [
            f"{secret} in {text.decode(errors='replace').partition(form.decode())[0][-300:]}"
            for secret in SECRETS
            for form in forms(secret)
            for text in seen
            if form in text
        ]


def forms(secret: str) -> set[bytes]:
    """A secret as it may be written."""
    encoded = base64.b64encode(f"{SECRETS[secret]}:{secret}".encode())
    return {secret.encode(), quote(secret, safe="").encode(), encoded}


def make_repository(folder: Path, address: str) -> None:
    """A repository for plain HTTP, whose test installs the same one again."""
    url = f"http://me:{quote(WEB, safe='')}@{address}/tests.git"
    steps = "{steps: [lava-test-case hello --result pass]}"
    text = f"{HEAD}install: {{git-repos: ['{url}']}}\nrun: {steps}\n"
    source = folder / "source"
    source.mkdir()
    (source / "t.yaml").write_text(text)
    for words in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "."),
        ("-c", "user.name=t", "-c", "user.email=t@lab", "commit", "--quiet", "--message=x"),
        ("clone", "--quiet", "--bare", ".", str(folder / "tests.git")),
        ("--git-dir", str(folder / "tests.git"), "update-server-info"),
    ):
        subprocess.run(["git", *words], cwd=source, check=True, env={"PATH": "/usr/bin:/bin"})


@contextmanager
def scene(folder: Path, sshd: Server, **device: str) -> Iterator[Scene]:
    www, temporary = folder / "www", folder / "temporary"
    for made in (www, temporary):
        made.mkdir()
    (www / "kernel").write_bytes(b"a kernel")
    with (
        onlooker(temporary) as looking,
        private_web(www, basic("me", WEB), looking.look) as web,
        dashboard.dashboard() as board,
        board_lab(folder, sshd, **device) as lab,
    ):
        make_repository(www, web.address)
        config(lab, web.address)
        yield Scene(lab=lab, web=web, dashboard=board, onlooker=looking)


def config(lab: Lab, proxy: str, cookie: str = COOKIE) -> None:
    """Write the dispatcher's configuration."""
    proxy = f"http://lab:{PROXY}@{proxy}" if proxy else ""
    (lab.config / "lava-dispatcher.conf").write_text(
        f"LAVA_IMAGE_TMPDIR = {lab.folder}/tftp\nLAVA_CACHEDIR = {lab.folder}/cache\n"
        f"LAVA_PROXY = {proxy}\nLAVA_COOKIES = session={cookie}\n"
        f"HOST_COMMAND_RETRIES = 1\nLAVA_LOCK_DIR = {lab.folder}/locks\n"
    )


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)


def test_secrets_are_used_and_told_nobody(tmp_path: Path, sshd: Server) -> None:
    with scene(tmp_path, sshd, password=WRONG) as it:
        job = it.job()
        shown = [
            subprocess.run(
                [*it.lab.command(option), str(write_job(it.lab, job))],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            for option in ("--dry-run", "--validate")
        ]
        ended = it.run(job)

        assert ended.status == 0, ended.stderr
        assert it.dashboard.calls == ["put_pending", "put_group"]
        for header, value in (
            ("Cookie", f"session={COOKIE}"),
            ("Proxy-Authorization", basic("lab", PROXY)),
            ("Authorization", basic("me", WEB)),
        ):
            assert value in {one[header] for one in it.web.requests}, header
        assert any(b"git-remote-http" in one for one in it.onlooker.seen)
        assert it.leaks(ended.stdout, ended.stderr, *shown) == []


def broken(it: Scene, place: str) -> dict[str, Any]:
    """The job or the configuration with one thing wrong that has to do with a secret."""
    match place:
        case "dashboard":
            job = it.job()
            job["actions"][-1]["parameters"]["token"] = WRONG
            return job
        case "download":
            return it.job(kernel=it.url(f"kernel?signature={QUERY}", WRONG))
        case "scheme":
            return it.job(kernel=f"ftp://me:{WRONG}@{it.web.address}/kernel")
        case "repository":
            return it.job(repository=it.url("tests.git", WRONG))
        case "login":
            return it.job(password=WRONG)
        case "proxy":
            config(it.lab, "127.0.0.1:1")
            job = it.job()
            del job["actions"][1]
            return job | {"timeout": 3}
        case "server":
            config(it.lab, "")
            it.web.address = "127.0.0.1:1"
            return it.job() | {"timeout": 3, "actions": it.job()["actions"][:1]}
        case "cookie":
            config(it.lab, it.web.address, cookie=f"{COOKIE}\n  and more")
    return it.job()


@pytest.mark.parametrize(
    ("place", "status"),
    [
        ("dashboard", 4),
        ("download", 2),
        ("scheme", 2),
        ("repository", 2),
        ("login", 3),
        ("proxy", 5),
        ("server", 5),
        ("cookie", 3),
        ("power", 4),
    ],
)
def test_what_fails_for_want_of_a_secret_does_not_tell_it(
    tmp_path: Path, sshd: Server, place: str, status: int
) -> None:
    command = f"false http://pdu:{POWER}@pdu/" if place == "power" else "true"
    with scene(tmp_path, sshd, hard_reset_command=command) as it:
        ended = it.run(broken(it, place))

        assert ended.status == status, ended.stderr
        if place == "power":
            it.onlooker.seen.clear()  # it is the lab's own command
        assert it.leaks(ended.stdout, ended.stderr) == []


@pytest.mark.parametrize("token", ["right", "wrong"])
def test_sub_jobs_keep_what_they_must_for_their_owner(
    tmp_path: Path, sshd: Server, token: str
) -> None:
    with scene(tmp_path, sshd) as it, coordinator(it.lab.folder) as port:
        if token == "wrong":
            (it.lab.folder / "token").write_text(WRONG)
        started = it.lab.start_sub_jobs(write_job(it.lab, it.job()), port)
        ended = [it.lab.finish(one, f"results-{number}") for number, one in started.items()]

        expected = 0 if token == "right" else 6
        assert [one.status for one in ended] == [expected] * 2, [one.stderr for one in ended]
        assert {path.stat().st_mode & 0o777 for path in it.lab.expand(tmp_path)} == {0o600}
        assert it.leaks(*(text for one in ended for text in (one.stdout, one.stderr))) == []
