# SPDX-License-Identifier: MIT
"""A root shell's prompt is known by its looks, whatever the terminal is told with it."""

import pytest

from lava_vmgroup.console import login
from lava_vmgroup.console.escapes import last_line, plain

PROMPTS = [
    "root@debian:~# ",
    "root@debian:/var/lib/with blank# ",
    "root@(none):/# ",
    "(chroot)root@host:/# ",
    "[root@fedora ~]# ",
    "[root@archlinux log]# ",
    "\n[root@nixos:~]# ",
    "localhost:~# ",
    "localhost:~ # ",
    "install:/etc/apk # ",
    "livecd ~ # ",
    "console:/ # ",
    "root@OpenWrt:/# ",
    "# ",
    "/ # ",
    "~ # ",
    "/mnt/data # ",
    "sh-5.2# ",
    "bash-5.1# ",
    "host# ",
    "root@host ~# ",
    "root@host /u/l/bin# ",
    "root@freebsd:~ # ",
    "lava-test [rc=0]# ",
    "\x1b[01;32mroot@debian\x1b[00m:\x1b[01;34m~\x1b[00m# ",
    "\x1b]0;root@fedora:~\x07[root@fedora ~]# ",
    "\x1b]3008;start=ab;type=shell;cwd=/root\x1b\\[root@fedora ~]# \x1b]133;B\x1b\\",
    "\x1b[?2004h\x1b[1;31mlocalhost\x1b[0m:\x1b[1;34m~\x1b[0m # ",
    "\x1b[1m\x1b[7m%\x1b[27m\x1b[1m\x1b[0m      \r \r\r\x1b[0m\x1b[27m\x1b[24m\x1b[Jhost# \x1b[K",
]
NO_PROMPTS = [
    "Loading: #",
    "Loading: ####",
    "\t ####",
    "######################                 ",
    "[  OK  ] Started OpenBSD Secure Shell server",
    "[  OK  ] #",
    " * Starting sshd ... #",
    "[    5.123456] usb 1-1: #",
    "login as root@host:~# is off, they say",
    "root@host:~$ ",
]


def is_known(text: str) -> bool:
    return any(one.search(last_line(text)) for one in login._KNOWN)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_prompt_of_any_system_is_known(prompt: str) -> None:
    assert is_known(f"starting\r\n{prompt}")


@pytest.mark.parametrize("text", NO_PROMPTS)
def test_text_at_the_end_of_a_line_is_no_prompt(text: str) -> None:
    assert not is_known(f"starting\r\n{text}")


def test_text_is_as_a_terminal_shows_it() -> None:
    told = "a\x1b[1;31mb\x1b[0m\x1b]0;title\x07c\x1bP+q6E\x1b\\d\x1b7e\x1b(Bf\x1b[6ng\x00\tx\x08h"

    assert plain(told) == "abcdefg\th"
    assert plain("\x1b]0;a title that never ends\nnext") == "\nnext"
