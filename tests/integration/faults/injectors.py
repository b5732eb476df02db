# SPDX-License-Identifier: MIT
"""Injectors of the faults: from outside, or by the guest's own steps."""

import base64
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tests.integration.faults.matrix import Fault, Phase
from tests.integration.faults.scene import PLOTS, SLOW_S, Plot, Scene
from tests.support.processes import until

TORN = (
    bytes(range(256))
    + b"\xe2\x82\r\n\xf0\x9f\x98\x1b[6n\x1b]0;\xc0\xaf"
    + b"<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=ghost RES\n"
)
"""Every byte there is, torn UTF-8, questions to a terminal, and half a result."""
GARBAGE = f"echo {base64.b64encode(TORN).decode()} | base64 -d"
WHEN_IT_WAITS = "until ps | grep -q '[l]ava-wait'; do sleep 0.2; done; sleep 0.5"
CRASH = "echo c >/proc/sysrq-trigger"
FULL_BYTES = 4096
"""Size limit of the host's files that stands for a full disk."""
NEARLY_FULL_BYTES = 8 << 20
"""Too little for a kernel and for a VM's folder, enough for all before them."""


def close_console(scene: Scene) -> None:
    """End what brings the console from the host."""
    [*followers] = scene.running("tail")
    assert followers
    for pid in followers:
        with suppress(OSError):  # it may have ended meanwhile
            if "console.out" in Path(f"/proc/{pid}/cmdline").read_text():
                os.kill(pid, signal.SIGKILL)


def kill_qemu(scene: Scene) -> None:
    """End the VM without a word."""
    for pid in scene.qemu():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def reboot_host(scene: Scene) -> None:
    """Have nothing run any more, nobody told, and another boot of the host behind it."""
    scene.network.freeze()
    for process in scene.sshd.processes:
        process.kill()
        process.wait()
    job = scene.job_folder
    owner = job / ".supervisor/owner"
    supervisor, started, _boot = owner.read_text().split()
    for pid in (int(supervisor), *scene.marked(job)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    owner.write_text(f"{supervisor} {started} another-boot\n")


def stop_sshd(scene: Scene) -> None:
    """End all connections to the host, and let nobody in any more."""
    scene.network.refuse()


def freeze_link(scene: Scene) -> None:
    """Let nothing through any more."""
    scene.network.freeze()


def fill_disk(scene: Scene) -> None:
    """Let no file on the host grow any more."""
    scene.sshd.limit_files(FULL_BYTES)


def truncate_upload(scene: Scene) -> None:
    """Take away what has arrived of an image."""
    (part,) = scene.store.glob("*.part-*")
    until(lambda: part.stat().st_blocks > 0)
    os.truncate(part, 0)


def kill_dispatcher(scene: Scene) -> None:
    """End it without a word."""
    scene.dispatcher.kill()


_INJECTORS: Mapping[Fault, Callable[[Scene], None]] = {
    Fault.CONSOLE_CLOSED: close_console,
    Fault.QEMU_KILLED: kill_qemu,
    Fault.HOST_REBOOTED: reboot_host,
    Fault.SSHD_STOPPED: stop_sshd,
    Fault.LINK_FROZEN: freeze_link,
    Fault.DISK_FULL: fill_disk,
    Fault.TRUNCATED: truncate_upload,
    Fault.DISPATCHER_KILLED: kill_dispatcher,
}

_VERDICTS = (
    "lava-test-case good --result pass",
    "lava-test-case counted --result pass --measurement 7 --units apples",
)
_BABBLE = f"while :; do {GARBAGE} >/dev/console; sleep 0.1; done >/dev/null 2>&1 &"
_OWN_PLOTS: Mapping[tuple[Fault, Phase], Plot] = {
    (Fault.COORDINATOR_GONE, Phase.TEST): Plot(steps=("sleep 3",), timeout=25, is_guest=False),
    (Fault.COORDINATOR_GONE, Phase.WAIT): replace(PLOTS[Phase.WAIT], timeout=25, is_guest=False),
    (Fault.DISK_FULL, Phase.TEST): replace(PLOTS[Phase.TEST], limit=12),
    (Fault.PANIC, Phase.BOOT): Plot(boot_cmds=("rdinit=/bin/false",)),
    (Fault.PANIC, Phase.TEST): Plot(
        steps=(f"lava-test-case hang --shell 'sh -c \"sleep 1; {CRASH}\"'",)
    ),
    (Fault.PANIC, Phase.WAIT): Plot(
        steps=(f'sh -c "{WHEN_IT_WAITS}; {CRASH}" &', *PLOTS[Phase.WAIT].steps)
    ),
    (Fault.GARBAGE, Phase.BOOT): Plot(
        vm={"launch_with": [f'{GARBAGE}; exec "$LAVA_VM_LAUNCH"']}, steps=_VERDICTS
    ),
    (Fault.GARBAGE, Phase.TEST): Plot(steps=(_BABBLE, "sleep 1", *_VERDICTS)),
    (Fault.GARBAGE, Phase.WAIT): Plot(
        steps=(_BABBLE, "lava-wait answer", *_VERDICTS),
        host_steps=("sleep 5", "lava-send answer"),
    ),
}


_OF_THE_HOST = {
    Fault.HOST_REBOOTED,
    Fault.SSHD_STOPPED,
    Fault.LINK_FROZEN,
    Fault.DISPATCHER_KILLED,
}
"""Any program may be the VM once it has booted; QEMU itself is ended by them while it boots."""


def plot(phase: Phase, fault: Fault) -> Plot:
    """Return the job that gives a fault time to happen in a phase."""
    is_guest = fault not in _OF_THE_HOST or phase in (Phase.DEPLOY, Phase.BOOT)
    return _OWN_PLOTS.get((fault, phase), replace(PLOTS[phase], is_guest=is_guest))


_FROM_THE_START = {(Fault.DISK_FULL, Phase.DEPLOY), (Fault.DISK_FULL, Phase.BOOT)}


def prepare(phase: Phase, fault: Fault, scene: Scene) -> None:
    """Set the stage before the job starts."""
    if phase is Phase.DEPLOY:
        scene.network.pause_s = SLOW_S
    else:
        scene.fill_store()
    if (fault, phase) in _FROM_THE_START:
        scene.sshd.limit_files(NEARLY_FULL_BYTES)


def inject(phase: Phase, fault: Fault, scene: Scene) -> None:
    """Have it happen as soon as the job is in the phase, unless the guest does it to itself."""
    if fault in _INJECTORS and (fault, phase) not in _FROM_THE_START:
        scene.reach(phase)
        _INJECTORS[fault](scene)
