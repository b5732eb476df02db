# SPDX-License-Identifier: MIT
from tests.unit.runner.quick_labgrid import labgrid

__all__ = ["labgrid"]
