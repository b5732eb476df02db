# SPDX-License-Identifier: MIT
"""The interface of a booted system, the same for a host and a VM."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.connections.stream import ByteStream
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.vms.stored_file import StoredFile


class System(abc.ABC):
    """A booted system with a shell of ours on its console.

    `resources` holds all that ends with the system; `close` ends it in reverse order.
    """

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.resources = ExitStack()

    @abc.abstractmethod
    def unpack(
        self, archive: bytes, directory: str, trees: Sequence[StoredFile], deadline: Deadline
    ) -> None:
        """Unpack a tar archive at the root of the file system; it makes `directory`.

        The `trees`, tar archives too, go to ``trees/0``, ``trees/1`` and so on in `directory`.
        """

    @abc.abstractmethod
    def collect(self, directory: str, deadline: Deadline) -> bytes:
        """Return a tar archive of the results that the last tests left in `directory`."""

    @abc.abstractmethod
    def records(self, deadline: Deadline) -> AbstractContextManager[ByteStream]:
        """Open the stream by which tests record beside the console, for the length of a block.

        It goes on at the byte at which the last one ended.
        """

    @property
    def records_file(self) -> str:
        """The file that tests write records to; empty if they find a port for that."""
        return ""

    def close(self) -> None:
        """End all that ends with the system."""
        self.resources.close()
