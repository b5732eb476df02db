# SPDX-License-Identifier: MIT
"""``python -m lava_vmgroup`` is ``lava-dispatch``."""

import sys

from lava_vmgroup.cli.dispatch import main

sys.exit(main())
