# SPDX-License-Identifier: MIT
"""``lava-dispatch handover``: the line that lets a job in to a host that somebody else boots."""

from __future__ import annotations

import argparse

from lava_vmgroup.cli.output import print_document
from lava_vmgroup.connections.ssh_keys import KeyFile


def hand_over(options: argparse.Namespace) -> int:
    """Print a shell line that authorizes a key and prints the host's own public keys; return 0.

    Raises `ConfigurationError` if the file holds no usable private key.
    """
    [key] = KeyFile(options.key).privates
    # The file's last line may have no end.
    print_document(
        "umask 077; mkdir -p ~/.ssh && "
        f"printf '\\n%s\\n' '{key.get_name()} {key.get_base64()} lava_vmgroup' "
        ">>~/.ssh/authorized_keys && cat /etc/ssh/ssh_host_*_key.pub\n"
    )
    return 0
