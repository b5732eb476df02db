# SPDX-License-Identifier: MIT
"""Test definitions from real repositories, made for each test."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import (
    Canceled,
    DeadlineExpired,
    JobError,
    VMGroupError,
)
from lava_vmgroup.results.model import SoftwareSource
from lava_vmgroup.testdefs import repositories
from lava_vmgroup.testdefs.loading import DefinitionLoader
from lava_vmgroup.testdefs.source import Source, SourceKind, parse_source
from tests.integration.testshell.system import fake
from tests.support.processes import is_running, until
from tests.support.repositories import Repository, contents, definition

LIMIT_S = 60.0


def test_repository_is_fetched_once_for_all_definitions_and_loaders(
    repository: Repository, loader: DefinitionLoader
) -> None:
    install = {"git-repos": [{"url": "tests.git", "destination": "again"}]}
    repository.commit({"a.yaml": definition("a"), "b.yaml": definition("b", install=install)})
    (first,) = loader.load(parse_source({"git-repo": "tests.git", "testdef": "a.yaml"}))
    repository.folder.rename(repository.folder.with_name("gone.git"))
    other = replace(loader, work=loader.work / "other")

    (second,) = other.load(parse_source({"git-repo": "tests.git", "testdef": "b.yaml"}))

    assert second.files is first.files
    assert second.repositories == (("again", first.files),)
    with pytest.raises(JobError, match="there is no repository"):
        other.load(parse_source({"git-repo": "tests.git", "branch": "main"}))


def test_the_newest_commit_of_a_repository_is_used(
    repository: Repository, loader: DefinitionLoader
) -> None:
    repository.commit({"lavatest.yaml": definition("old")})
    commit = repository.commit({"lavatest.yaml": definition("new"), "sub/data": "x"})

    (test,) = loader.load(parse_source({"git-repo": "tests.git", "parameters": {"A": "1"}}))

    assert test.definition.name == "new"
    assert test.metadata["version"] == commit
    assert (test.metadata["location"], test.metadata["url"]) == ("GIT", "tests.git")
    assert contents(test).keys() == {"lavatest.yaml", "sub/data"}
    assert test.parameters == {"A": "1"}
    assert test.software == (
        SoftwareSource(
            project_name="tests",
            branch_vcs="git",
            branch_url="tests.git",
            branch_revision=commit,
            test_params={"A": "1"},
        ),
    )


def test_a_revision_of_a_repository_is_used(
    repository: Repository, loader: DefinitionLoader
) -> None:
    commit = repository.commit({"a/test.yaml": definition("old")})
    repository.commit({"a/test.yaml": definition("new")})

    (test,) = loader.load(
        parse_source(
            {
                "git-repo": f"file://{repository.folder}",
                "testdef": "a/test.yaml",
                "revision": commit,
            }
        )
    )

    assert (test.definition.name, test.definition.version) == ("old", commit)


def test_a_revision_may_be_a_branch_or_a_testdef_a_link(
    repository: Repository, loader: DefinitionLoader
) -> None:
    repository.commit({"test.yaml": definition("main")})
    repository.git("checkout", "--quiet", "-b", "feature/one")
    (repository.folder / "link.yaml").symlink_to("sub/test.yaml")
    commit = repository.commit({"sub/test.yaml": definition("one")})
    repository.git("checkout", "--quiet", "main")
    source = {"git-repo": "tests.git", "revision": "feature/one", "testdef": "link.yaml"}

    (test,) = loader.load(parse_source(source))

    assert (test.definition.name, test.definition.version) == ("one", commit)


def test_submodules_come_along_where_the_job_says_so(
    repository: Repository, loader: DefinitionLoader, tmp_path: Path
) -> None:
    other = Repository(tmp_path / "other")
    other.commit({"helper.sh": "true\n"})
    allowed = ["-c", "protocol.file.allow=always"]
    repository.git(*allowed, "submodule", "--quiet", "add", f"file://{other.folder}", "lib")
    repository.commit({"lavatest.yaml": definition("t")})
    source = {"from": "git", "repository": "tests.git", "history": False, "lava-signal": "kmsg"}

    (without,) = loader.load(parse_source(source))
    (test,) = loader.load(parse_source({**source, "recursive": True}))

    assert "lib/helper.sh" not in contents(without)
    assert contents(test).keys() == {".gitmodules", "lavatest.yaml", "lib/helper.sh"}


def test_a_branch_of_a_repository_is_used_in_todays_words(
    repository: Repository, loader: DefinitionLoader
) -> None:
    repository.commit({"test.yaml": definition("main")})
    repository.git("checkout", "--quiet", "-b", "stable")
    repository.commit({"test.yaml": definition("stable")})
    repository.git("checkout", "--quiet", "main")

    (test,) = loader.load(
        parse_source(
            {
                "from": "git",
                "repository": str(repository.folder),
                "branch": "stable",
                "path": "test.yaml",
                "name": "renamed",
            }
        )
    )

    assert test.definition.run_steps == ("echo stable",)
    assert test.definition.name == "renamed"


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A server of plain files, which is what git calls dumb."""
    handler = functools.partial(QuietHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_a_repository_on_a_plain_web_server_is_cloned(
    repository: Repository, loader: DefinitionLoader, web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    repository.commit({"lavatest.yaml": definition("smoke")})
    repository.git("update-server-info")

    (test,) = loader.load(parse_source({"git-repo": f"{web}/tests.git/.git"}))

    assert test.definition.name == "smoke"


def test_repositories_are_reached_by_the_labs_proxy(loader: DefinitionLoader) -> None:
    loader.environment = {"http_proxy": "http://127.0.0.1:1", "no_proxy": ""}

    with pytest.raises(JobError, match="cannot clone http://lab.invalid/x: fatal: .*127.0.0.1"):
        loader.load(parse_source({"git-repo": "http://lab.invalid/x"}))


def test_scripts_keep_their_mode_and_links_stay_inside(
    repository: Repository, loader: DefinitionLoader, warnings: list[str]
) -> None:
    (repository.folder / "tool.sh").write_text("#!/bin/sh\n")
    (repository.folder / "tool.sh").chmod(0o755)
    (repository.folder / "passwd").symlink_to("/etc/passwd")
    (repository.folder / "run.sh").write_text("mine")
    repository.commit({"lavatest.yaml": definition("smoke")})

    (test,) = loader.load(parse_source({"git-repo": "tests.git"}))

    modes = {entry.path: entry.executable for entry in test.files}
    assert modes == {"lavatest.yaml": False, "run.sh": False, "tool.sh": True}
    assert warnings == [
        "tests.git: passwd is left out: it leads outside, or is no file",
        "lavatest.yaml in tests.git: run.sh of the repository gives way to the test's own run.sh",
    ]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"git-repo": "no-such"}, "there is no repository .*/no-such$"),
        ({"git-repo": "tests.git", "revision": "v9"}, "cannot check out 'v9' of tests.git: .*v9"),
        (
            {"git-repo": "tests.git", "branch": "v9"},
            "cannot clone tests.git: fatal: Remote branch v9 not found in upstream origin",
        ),
        ({"git-repo": "tests.git", "testdef": "x.yaml"}, "there is no x.yaml in tests.git"),
        ({"git-repo": "empty"}, "cannot clone empty: fatal: repository '.*/empty' does not exist"),
        ({"git-repo": "ext::sh -c true"}, "'ext::sh -c true' is not the place of a repository"),
        ({"git-repo": "ext://x"}, "cannot fetch ext://x"),
        ({"git-repo": "--upload-pack=touch made"}, "is not the place of a repository"),
        ({"git-repo": "ftp://lab/x"}, "cannot fetch ftp://lab/x"),
        (
            {"git-repo": "http://me:secret@127.0.0.1:1/x"},
            "cannot clone http://127.0.0.1:1/x: fatal",
        ),
        ({"git-repo": "ssh://me:secret@lab/x"}, "cannot fetch ssh://lab/x: there is no place for"),
        ({"bzr-repo": "http://me:secret@lab/x"}, "cannot fetch http://lab/x: there is no place"),
    ],
)
def test_a_repository_that_cannot_be_used_is_refused(
    repository: Repository,
    loader: DefinitionLoader,
    tmp_path: Path,
    entry: dict[str, Any],
    message: str,
) -> None:
    (tmp_path / "empty").mkdir()
    repository.commit({"lavatest.yaml": definition("smoke")})

    with pytest.raises(JobError, match=message) as caught:
        loader.load(parse_source(entry))

    assert "secret" not in caught.value.describe()
    assert not (tmp_path / "made").exists()


def test_a_clone_ends_with_its_deadline_or_its_job(
    repository: Repository,
    loader: DefinitionLoader,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pids = tmp_path / "pids"
    fake(tmp_path, monkeypatch, "git", f"sleep 1000 &\necho $! >>{pids}\nwait")
    source = parse_source({"git-repo": "tests.git"})
    token = CancelToken()

    loader.deadline = Deadline.after("fetching", 0.5)
    with pytest.raises(DeadlineExpired):
        loader.load(source)
    loader.deadline = Deadline.after("fetching", LIMIT_S, token)
    timer = threading.Timer(0.5, token.cancel, [Canceled("stop", signal_number=2)])
    timer.start()
    with pytest.raises(VMGroupError, match="stop"):
        loader.load(source)

    timer.join()
    # A busy machine takes its time to end a process that has its signal.
    until(lambda: not any(is_running(int(pid)) for pid in pids.read_text().split()))


def test_a_password_in_a_url_is_in_no_result(
    loader: DefinitionLoader, tmp_path: Path, web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "x.yaml").write_text(definition("x"))
    location = web.replace("//", "//me:secret@") + "/x.yaml"

    (test,) = loader.load(Source(kind=SourceKind.URL, location=location))

    assert test.metadata["url"] == f"{web}/x.yaml"
    assert test.software[0].branch_url == f"{web}/x.yaml"


def test_a_file_that_is_too_large_is_not_checked_out(
    repository: Repository, loader: DefinitionLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repositories, "MAX_BYTES", 1 << 20)
    repository.commit({"lavatest.yaml": definition("t"), "zeros": "0" * (3 << 20)})

    with pytest.raises(JobError, match="a repository has a file of more than 1 MiB"):
        loader.load(Source(kind=SourceKind.GIT, location=str(repository.folder)))
