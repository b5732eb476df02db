# SPDX-License-Identifier: MIT
"""Git repositories with test definitions, made for a test."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from lava_vmgroup.testshell.overlay import OverlayTest

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
    return {entry.path: entry.content for entry in test.files}
