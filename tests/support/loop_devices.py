# SPDX-License-Identifier: MIT
"""Block devices for tests, where the machine lends them: files as loop devices."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.missing import missing


@contextmanager
def loop_device(disk: Path, size: int, *options: str) -> Iterator[Path]:
    """A block device of `size` bytes, whose content is the file `disk`; skips the test without."""
    with disk.open("ab") as file:
        file.truncate(size)
    done = subprocess.run(
        ["/usr/sbin/losetup", "--find", "--show", *options, disk],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        missing("loop devices")
    device = Path(done.stdout.strip())
    try:
        yield device
    finally:
        subprocess.run(["/usr/sbin/losetup", "--detach", device], check=True)
