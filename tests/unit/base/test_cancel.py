# SPDX-License-Identifier: MIT
import signal
import subprocess
import sys

from lava_vmgroup.base.cancel import CancelToken, cancel_all
from lava_vmgroup.base.errors import Canceled, VMGroupError


def test_who_wakes_first_finds_the_reasons_of_all() -> None:
    tokens = [CancelToken() for _ in range(3)]
    seen: list[VMGroupError | None] = []

    with tokens[0].waking(lambda: seen.extend(token.reason for token in tokens)):
        reasons = [Canceled(f"reason {number}", signal_number=2) for number in range(3)]
        cancel_all(zip(tokens, reasons, strict=True))

    assert seen == reasons


def test_first_reason_stands_and_wakes_once() -> None:
    token = CancelToken()
    woken: list[str] = []
    first = Canceled("first", signal_number=2)

    with token.waking(lambda: woken.append("woken")):
        token.cancel(first)
        token.cancel(Canceled("second", signal_number=15))

    assert token.reason is first
    assert woken == ["woken"]


STOPPED = """
import queue, signal, sys, threading, time
from lava_vmgroup.base.cancel import next_item

inbox = queue.SimpleQueue()
signal.signal(signal.SIGTERM, lambda number, _frame: inbox.put(number))
for _ in range(20):
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
print("ready", flush=True)
sys.exit(next_item(inbox))
"""


def test_signal_that_came_while_the_process_was_stopped_is_heard() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGCONT):
                process.send_signal(number)
            assert process.wait(60) == signal.SIGTERM
        finally:
            process.kill()
