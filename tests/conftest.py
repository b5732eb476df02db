# SPDX-License-Identifier: MIT
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How fast a machine is, and what else it does, decides no test.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# A shell without job control has what it starts in the background ignore Ctrl-C, and programs
# inherit that; the consoles that tests open need it.
signal.signal(signal.SIGINT, signal.default_int_handler)

BOARD_TESTS = [Path(__file__).parent / name for name in ("e2e", "emulated_board")]


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have one emulated board run at a time: it takes more than one processor alone."""
    for item in items:
        if any(item.path.is_relative_to(folder) for folder in BOARD_TESTS):
            item.add_marker(pytest.mark.xdist_group("board"))
