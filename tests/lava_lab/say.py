# SPDX-License-Identifier: MIT
"""say.py COMMAND: type a command at the board's console inside the lab, and print the answer."""

import socket
import sys

_LIMIT_S = 20.0


def main() -> None:
    """Print the answer of a shell that waits at its prompt."""
    with socket.create_connection(("127.0.0.1", 7001), _LIMIT_S) as console:
        # The words do not look like these when the console echoes them.
        console.sendall(f"\recho BEG''IN; {sys.argv[1]}; echo E''ND\r".encode())
        said = b""
        while b"END\r" not in said:
            said += console.recv(4096)
    answer = said.rpartition(b"BEGIN\r\n")[2].partition(b"END\r")[0]
    sys.stdout.write(answer.decode(errors="replace").replace("\r", ""))


if __name__ == "__main__":
    main()
