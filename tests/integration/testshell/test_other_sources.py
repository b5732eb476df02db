# SPDX-License-Identifier: MIT
"""Definitions from bzr, from an archive, and from the job itself."""

from __future__ import annotations

import base64
import io
import tarfile
from pathlib import Path

import pytest
import yaml

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.testdefs.loading import DefinitionLoader
from lava_vmgroup.testdefs.source import parse_source
from tests.integration.testshell.system import fake
from tests.support.repositories import contents, definition


def test_bzr_is_used_where_it_is(
    loader: DefinitionLoader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Real bzr is on hardly any machine any more; this one has its command line.
    fake(
        tmp_path,
        monkeypatch,
        "bzr",
        'case $1 in branch) [ "$2 $3 $4" = "--quiet --revision=7 --" ] && cp -r "$5" "$6" ;;\n'
        "revno) echo 7 ;; esac",
    )
    (tmp_path / "branch").mkdir()
    (tmp_path / "branch/lavatest.yaml").write_text(definition("smoke"))

    (test,) = loader.load(parse_source({"bzr-repo": "branch", "revision": 7}))

    assert (test.metadata["location"], test.metadata["version"]) == ("BZR", "7")
    assert (test.software[0].branch_vcs, test.software[0].branch_revision) == ("bzr", "7")


def test_without_bzr_the_reason_is_told(
    loader: DefinitionLoader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ConfigurationError, match="the dispatcher has no bzr"):
        loader.load(parse_source({"bzr-repo": "lp:lava-test"}))


def test_an_archive_is_used(loader: DefinitionLoader) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in (("lavatest.yaml", definition("smoke")), ("data", "x")):
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    text = base64.b64encode(buffer.getvalue()).decode()

    (test,) = loader.load(parse_source({"tar-repo": text}))

    assert contents(test)["data"] == b"x"
    assert (test.metadata["location"], test.metadata["version"]) == ("TAR", "0.1")
    assert (test.software[0].branch_vcs, test.software[0].branch_revision) == ("tar", "0")


def test_an_inline_definition_is_used(loader: DefinitionLoader) -> None:
    inline = yaml.safe_load(definition("smoke"))

    (test,) = loader.load(parse_source({"from": "inline", "repository": inline, "path": "x.yaml"}))

    assert test.definition.name == "smoke"
    assert yaml.safe_load(test.source) == inline
    assert test.software == ()
