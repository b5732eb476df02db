# SPDX-License-Identifier: MIT
import signal
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from lava_vmgroup.base.scratch import scratch_folder

# No test depends on the speed or the load of the machine.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# A shell without job control has what it starts in the background ignore Ctrl-C and Ctrl-\, nohup
# has it ignore a hangup, and programs inherit that; consoles and programs of tests need them.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


class TwoBoards(LoadScopeScheduling):  # type: ignore[misc]
    """Two workers run all that needs an emulated board, each of which takes a whole processor."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(("tests/e2e/test_examples.py", "tests/e2e/test_panic.py")):
            return "one board"
        on_board = nodeid.startswith(("tests/e2e/", "tests/emulated_board/"))
        return "another board" if on_board else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> TwoBoards:
    """Have pytest-xdist distribute tests in this way."""
    return TwoBoards(config, log)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove the folders of dispatchers that tests have killed, as the next dispatcher would."""
    if not hasattr(session.config, "workerinput"):
        with scratch_folder():
            pass
