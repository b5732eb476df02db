# SPDX-License-Identifier: MIT
from tests.integration.shells.on_consoles import quick

__all__ = ["quick"]
