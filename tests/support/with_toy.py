# SPDX-License-Identifier: MIT
"""``lava-dispatch`` with one kind of VM more: ``client_type = toy``."""

import sys
from pathlib import Path

from lava_vmgroup.cli.dispatch import main
from lava_vmgroup.vms import backends

backends.__path__.append(str(Path(__file__).parent / "toy_backends"))
if __name__ == "__main__":
    sys.exit(main())
