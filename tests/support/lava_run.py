# SPDX-License-Identifier: MIT
"""LAVA's ``lava-run`` with LAVA's modules on the path: ``lava_run.py FOLDER WORD...``.

LAVA's own files are in FOLDER instead of ``/var/lib/lava``.  Libraries that only real devices and
the worker need are not there.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any
from unittest.mock import MagicMock


def main(folder: str) -> None:
    """Run a job, and end with LAVA's exit status."""
    constants: Any = importlib.import_module("lava_common.constants")
    constants.DISPATCHER_DOWNLOAD_DIR = folder
    for name in ("setproctitle", "pyudev", "lava_dispatcher.worker"):
        sys.modules[name] = MagicMock(get_prefix=lambda _settings: "")
    runner: Any = importlib.import_module("lava_dispatcher.runner")
    sys.exit(runner.main())


if __name__ == "__main__":
    main(sys.argv.pop(1))
