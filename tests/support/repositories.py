# SPDX-License-Identifier: MIT
"""Git repositories with test definitions, made for a test."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from random import Random
from typing import Any

import yaml

from lava_vmgroup.testdefs.overlay import OverlayTest
from lava_vmgroup.testdefs.tree import moved

LIMIT_S = 60.0


def definition(name: str, **sections: Any) -> str:
    content: dict[str, Any] = {
        "metadata": {"name": name, "format": "1.0", "description": "", "version": "0.1"},
        "run": {"steps": [f"echo {name}"]},
    }
    return yaml.safe_dump(content | sections)


class Repository:
    """A git repository of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *words: str) -> str:
        """Run git in the repository, whatever the configuration of this machine."""
        identity = ["-c", "user.name=test", "-c", "user.email=test@lab", "-c", "commit.gpgsign=no"]
        return subprocess.run(
            ["git", *identity, *words],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder)},
            check=True,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        ).stdout.strip()

    def commit(self, files: dict[str, str]) -> str:
        """Commit files; returns the commit."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=x")
        return self.git("rev-parse", "HEAD")


def contents(test: OverlayTest) -> dict[str, bytes]:
    """The test's files, with those of the repositories that it wants installed."""
    trees = [moved(tree, folder) for folder, tree in test.trees]
    return {entry.path: entry.content for tree in trees for entry in tree}


def large_tree(folder: Path) -> int:
    """Make files in number, size, depth and mode as in Linaro's test-definitions; returns bytes."""
    random = Random(0)  # noqa: S311 (no secret)
    shape = [(22, 1_465_000), (28, 750_000), (16, 24_700), (82, 7_000), (352, 1_900), (350, 600)]
    for made, size in enumerate(size for number, size in shape for _ in range(number)):
        path = folder / f"automated/linux/suite-{made % 60}/bin/arch-{size % 5}/program-{made}"
        path.parent.mkdir(parents=True, exist_ok=True)
        # Programs compress to about a half.
        path.write_bytes(random.randbytes(size // 2) + bytes(size - size // 2))
        path.chmod(0o755 if made % 5 < 2 else 0o644)
        if made % 71 == 0:
            path.with_name(f"link-{made}").symlink_to(path.name)
    (folder / f"manual/{'long-' * 30}name").parent.mkdir()
    (folder / f"manual/{'long-' * 30}name").write_text("x")
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
