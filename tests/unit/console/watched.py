# SPDX-License-Identifier: MIT
"""A watch of a console, and what it tells of the lines that are fed to it."""

from lava_vmgroup.base.console_faults import Fault
from lava_vmgroup.console.watch import (
    Sighting,
    Watch,
)

STAMP = "[   12.345678] "


PANIC = "Kernel panic - not syncing: sysrq triggered crash"


class Seen:
    """A watch of a system that is up, and what it has told."""

    def __init__(self, *added: Fault, ignored: tuple[str, ...] = ()) -> None:
        self.told: list[Sighting] = []
        self.watch = Watch(self.told.append, added=added, ignored=ignored)
        self.watch.system_is_up()

    def names(self, *lines: str) -> list[str]:
        """The faults that the watch tells when the console says these lines."""
        self.told.clear()
        for line in lines:
            self.watch.feed(f"{line}\r\n".encode())
            self.watch.settle()
        return [one.fault.name for one in self.told]


def booting(*, ramdisk: bool = False) -> Seen:
    """A watch of a system that boots."""
    seen = Seen()
    seen.watch.expect_reset()
    seen.watch.expect_boot(ramdisk_is_system=ramdisk)
    return seen
