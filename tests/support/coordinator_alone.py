# SPDX-License-Identifier: MIT
"""Runs our coordinator in a process of its own, until SIGTERM; its address is the first line."""

from __future__ import annotations

import signal
import sys

from lava_vmgroup.multinode.coordinator import Coordinator

if __name__ == "__main__":
    ending = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    with Coordinator() as coordinator:
        host, port = coordinator.address
        sys.stdout.write(f"{host}:{port}\n")
        sys.stdout.flush()
        signal.sigwait(ending)
