# SPDX-License-Identifier: MIT
"""One member of a group, played by the client of Debian's lava-dispatcher, unmodified.

The argument is a JSON object: ``path`` (folders with LAVA's modules, behind this interpreter's
own), ``config`` (a coordinator's configuration file, instead of the one in /etc), ``protocol``
(the job's parameters of the MultiNode protocol), ``job_id``, ``calls`` (each a method's name and
its arguments).  It prints a JSON object: ``replies`` as they came over the connection,
``results`` of the calls, and the class of the ``error`` that ended them.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

asked = json.loads(sys.argv[1])
sys.path += asked["path"]
lava: Any = importlib.import_module("lava_dispatcher.protocols.multinode")


class Member(lava.MultinodeProtocol):  # type: ignore[misc]
    """LAVA's client, which is told where the configuration is, and whose replies are kept."""

    def __init__(self) -> None:
        """Take everything from the argument."""
        super().__init__({"protocols": {self.name: asked["protocol"]}}, asked["job_id"])
        self.replies: list[Any] = []

    def read_settings(self, filename: str) -> Any:
        """Read the settings of the test."""
        return super().read_settings(asked["config"])

    def poll(self, message: str, timeout: float | None = None) -> Any:
        """Poll, and keep the reply."""
        reply = super().poll(message, timeout=timeout)
        self.replies.append(json.loads(reply))
        return reply


def play(member: Member) -> dict[str, Any]:
    """The member's whole life."""
    results: list[Any] = []
    error = None
    try:
        member.set_up()
        for name, *arguments in asked["calls"]:
            results.append(getattr(member, name)(*arguments))
        member.finalise_protocol()
    except lava.MultinodeProtocolTimeoutError as timeout:
        error = type(timeout).__name__
    return {"replies": member.replies, "results": results, "error": error}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(play(Member())))
