# SPDX-License-Identifier: MIT
"""Faults in a console's text are recognized; quotations of them by tests are not."""

import time

import pytest

from lava_vmgroup.base import user_pattern
from lava_vmgroup.base.console_faults import FAULTS, NAMES, Fault, FaultPlace, FaultSeverity
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.console.watch import (
    LINE_LIMIT,
    LINES_AFTER,
    LINES_BEFORE,
    KernelClock,
    Sighting,
    Watch,
)
from tests.unit.console.watched import PANIC, STAMP, Seen, booting

LOGS = [
    ("init-killed", "Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b"),
    ("init-killed", "Kernel panic - not syncing: No init found.  Try passing init= option"),
    ("no-root", 'VFS: Cannot open root device "vda9" or unknown-block(0,0): error -6'),
    (
        "no-root",
        "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",
    ),
    ("kernel-panic", PANIC),
    ("kernel-panic", "Kernel panic - not syncing: Fatal exception in interrupt"),
    ("reset", "reboot: Restarting system"),
    ("reset", "reboot: Power down"),
    ("serror", "SError Interrupt on CPU0, code 0x00000000bf000002 -- SError"),
    ("serror", "Unhandled fault: asynchronous external abort (0x1c06) at 0x00000000"),
    ("serror", "Internal error: synchronous external abort: 0000000096000210 [#1] PREEMPT SMP"),
    ("oops", "Internal error: Oops: 0000000096000046 [#1] PREEMPT SMP"),
    ("oops", "Internal error: Oops - BUG: 00000000f2000800 [#1] SMP"),
    ("oops", "Internal error: Oops: 5 [#1] PREEMPT SMP ARM"),
    ("oops", "Oops: 0002 [#1] PREEMPT SMP NOPTI"),
    ("oops", "general protection fault, probably for non-canonical address 0xdead: 0000 [#1]"),
    (
        "bad-access",
        "Unable to handle kernel NULL pointer dereference at virtual address 0000000000000010",
    ),
    ("bad-access", "Unable to handle kernel paging request at virtual address ffff8000deadbeef"),
    ("bad-access", "BUG: unable to handle page fault for address: ffffc90000250000"),
    ("bad-access", "BUG: kernel NULL pointer dereference, address: 0000000000000000"),
    ("soft-lockup", "watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [stress:412]"),
    ("soft-lockup", "NMI watchdog: BUG: soft lockup - CPU#0 stuck for 23s! [sh:99]"),
    ("hard-lockup", "NMI watchdog: Watchdog detected hard LOCKUP on cpu 3"),
    ("hard-lockup", "watchdog: Watchdog detected hard LOCKUP on cpu 2"),
    ("rcu-stall", "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:"),
    ("rcu-stall", "rcu: INFO: rcu_sched self-detected stall on CPU"),
    ("rcu-stall", "INFO: rcu_sched detected expedited stalls on CPUs/tasks: { 1-... }"),
    ("rcu-stall", "rcu: rcu_preempt kthread starved for 5252 jiffies! g-1195 f0x0"),
    ("hung-task", "INFO: task kworker/u8:2:57 blocked for more than 120 seconds."),
    ("oom", "stress-ng-vm invoked oom-killer: gfp_mask=0x140dca(GFP_HIGHUSER), order=0"),
    ("oom", "Out of memory: Killed process 311 (tail) total-vm:203848kB, anon-rss:201000kB"),
    ("oom", "Memory cgroup out of memory: Killed process 1208 (python3) total-vm:1048576kB"),
    ("bug", "kernel BUG at fs/ext4/inode.c:2722!"),
    ("bug", "BUG: sleeping function called from invalid context at kernel/locking/mutex.c:580"),
    ("bug", "BUG: KASAN: slab-out-of-bounds in kmalloc_oob_right+0xa8/0xbc [test_kasan]"),
    ("bug", "UBSAN: array-index-out-of-bounds in drivers/net/foo.c:12:3"),
    ("warning", "WARNING: CPU: 0 PID: 1 at kernel/irq/irqdomain.c:544 irq_domain+0x30/0x40"),
    ("warning", "WARNING: drivers/gpu/drm/drm.c:42 at drm_probe+0x10/0x20, CPU#1: kworker/1:1/35"),
    ("warning", "WARNING: possible circular locking dependency detected"),
    ("firmware-crash", '"Synchronous Abort" handler, esr 0x96000004, far 0x8'),
    ("firmware-crash", "Synchronous Exception at 0x00000000BF6D4A38"),
    ("reset", "U-Boot 2023.01+dfsg-2 (Feb 22 2023 - 19:29:01 +0000)"),
    ("reset", "U-Boot SPL 2022.10 (Oct 03 2022 - 19:25:32 +0000)"),
    ("reset", "NOTICE:  BL31: v2.9(release):v2.9.0"),
    ("reset", "EFI stub: Booting Linux Kernel..."),
    ("reset", "Uncompressing Linux... done, booting the kernel."),
    ("qemu", "qemu-system-aarch64: kvm run failed Function not implemented"),
    ("qemu", "qemu-system-x86_64: -drive file=a.img: Could not open 'a.img': No such file"),
]
START_OF_LINE = {fault.name for fault in FAULTS if fault.place is FaultPlace.START}
HARMLESS = [
    "[    0.000000] Linux version 6.1.0-18-arm64 (debian-kernel@lists.debian.org)",
    "[    1.000000] Kernel command line: root=/dev/vda1 panic=5 oops=panic",
    "[    1.500000] reboot: Power off not available: System halt instead",
    "[    0.100000] rcu: Hierarchical RCU implementation.",
    "qemu-system-aarch64: warning: host doesn't support requested feature",
    "qemu-system-aarch64: terminating on signal 15 from pid 1 (sh)",
    f"+ echo '{STAMP}{PANIC}'",
    f"+ echo {STAMP}{PANIC}",
    f"the test looks for '{STAMP}{PANIC}'",
    f"grep -q '{PANIC}' log",
    "Linux version 6.1.0-18-arm64, says /proc/version",
]


@pytest.mark.parametrize(("name", "line"), LOGS)
def test_real_words_of_kernels_firmware_and_qemu_are_recognized(name: str, line: str) -> None:
    assert Seen().names(line) == [name]
    if not (name in START_OF_LINE and Seen().names(f"{STAMP}{line}") == []):
        assert Seen().names(f"# {STAMP}{line}") == [name]


def test_terminal_behind_ssh_shows_no_kernel_but_the_jobs_own_patterns() -> None:
    own = Fault(
        name="mine",
        severity=FaultSeverity.NOTE,
        pattern=r"lost \d+ frames",
        place=FaultPlace.ANYWHERE,
    )
    seen = Seen(own)
    seen.watch.hears_kernel = False

    assert seen.names(*(line for _, line in LOGS), f"{STAMP}{PANIC}", "lost 3 frames") == ["mine"]


@pytest.mark.parametrize(
    "line",
    [
        "Internal error: no such column",
        "Oops: something went wrong",
        "general protection faults: 0",
        "BUG: the widget has no handle",
        "UBSAN: 3 reports",
        "java invoked oom-killer twice, says the test",
    ],
)
def test_words_that_kernels_share_with_programs_are_no_fault_without_a_stamp(line: str) -> None:
    assert Seen().names(line) == []


def test_kernel_that_says_it_writes_stamps_says_nothing_without_one() -> None:
    seen = Seen()
    seen.watch.system_is_up(KernelClock(uptime_s=12.0, asked_at=time.monotonic(), has_stamps=True))

    assert seen.names(PANIC) == []
    assert seen.names(f"{STAMP}{PANIC}") == ["kernel-panic"]


def came_up(*lines: str, uptime_s: float) -> Seen:
    """A watch of a system that has shown these lines, and then says how long it has been up."""
    seen = booting()
    seen.names(*lines)
    seen.watch.system_is_up(
        KernelClock(uptime_s=uptime_s, asked_at=time.monotonic(), has_stamps=True)
    )
    return seen


def test_log_of_another_machine_does_not_fit_the_systems_clock() -> None:
    seen = came_up("[    0.000000] Linux version", "[  480.000000] eth0: up", uptime_s=500.0)

    assert seen.names(f"[    2.000000] {PANIC}", f"[  485.000000] {PANIC}") == []
    assert seen.names(f"[90000.000000] {PANIC}") == []
    assert seen.names("[  503.000000] eth0: down", f"[  496.000000] {PANIC}") == ["kernel-panic"]


def test_log_of_another_machine_is_older_than_what_a_system_without_a_clock_has_said() -> None:
    seen = booting()
    seen.names("[    0.000000] Linux version", "[   90.000000] eth0: up")
    seen.watch.system_is_up()

    assert seen.names(f"[    2.000000] {PANIC}") == []
    assert seen.names(f"[   91.000000] {PANIC}") == ["kernel-panic"]


def test_clock_that_the_stamps_of_the_boot_do_not_fit_is_not_relied_on() -> None:
    seen = came_up("[    0.000000] Linux version", "[    9.000000] eth0: up", uptime_s=5000.0)

    assert seen.names(f"{STAMP}{PANIC}") == ["kernel-panic"]


def test_every_fault_has_a_real_example() -> None:
    assert {name for name, _ in LOGS} == set(NAMES)


def test_what_is_no_fault_or_only_quoted_is_let_pass() -> None:
    assert Seen().names(*HARMLESS) == []


def test_test_that_quotes_a_panic_of_a_kernel_with_time_stamps_goes_on() -> None:
    seen = Seen()

    assert seen.names("[    0.000000] Booting Linux on physical CPU 0x0", PANIC) == []
    assert seen.names(f"{STAMP}{PANIC}") == ["kernel-panic"]


def test_dmesg_in_a_test_is_not_the_same_fault_again() -> None:
    seen = Seen()
    oops = f"{STAMP}Internal error: Oops: 96000046 [#1] SMP"

    assert seen.names(oops, "# dmesg", oops, f"out of place {oops}") == ["oops"]


def test_resets_are_faults_only_while_a_system_is_supposed_to_be_up() -> None:
    seen = Seen()
    boot = ["[   99.000000] reboot: Restarting system", "U-Boot 2023.01 (Feb 22 2023)"]

    seen.watch.expect_reset()
    assert seen.names(*boot) == []
    seen.watch.system_is_up()
    assert seen.names(boot[1]) == ["reset"]


def test_firmwares_words_in_the_output_of_a_test_are_no_reset_of_a_system_that_goes_on() -> None:
    seen = Seen()
    words = ["U-Boot 2023.01 (Feb 22 2023)", "Unhandled Exception in EL3.", "reboot: Power down"]

    seen.watch.ask_of_resets(lambda: False)
    assert seen.names(*words[:2], f"{STAMP}{words[2]}") == ["reset"]
    seen.watch.expect_reset()
    seen.watch.system_is_up()
    assert seen.names(words[0]) == ["reset"]


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_torn_text_shows_the_same_fault_with_the_lines_around_it(size: int) -> None:
    before = [f"line {number}" for number in range(LINES_BEFORE + 5)]
    after = [f"[   13.{number:06}]  frame+0x{number:x}" for number in range(5)]
    last = f"[   14.000000] ---[ end {PANIC} ]---"
    told = [*before, f"größe {STAMP}\x1b[31m{PANIC}", *after, last, "and more"]
    data = "".join(f"{line}\r\n" for line in told).encode()
    seen = Seen()

    for start in range(0, len(data), size):
        seen.watch.feed(data[start : start + size])

    (sighting,) = seen.told
    assert sighting.line == PANIC
    assert sighting.lines == [*before[5:], f"größe {STAMP}{PANIC}", *after, last]


def test_endless_lines_and_traces_are_cut() -> None:
    seen = Seen()

    for _ in range(100):
        seen.watch.feed(b"x" * 1000)
    seen.watch.feed(f"\n{STAMP}{PANIC}{'!' * 5000}\n".encode())
    for _ in range(2 * LINES_AFTER):
        seen.watch.feed(b"frame\n")

    (sighting,) = seen.told
    assert {len(line) for line in sighting.lines} == {LINE_LIMIT, len("frame")}
    assert len(sighting.lines) == 1 + 1 + LINES_AFTER


def test_worst_of_what_comes_at_once_gives_the_name() -> None:
    seen = Seen()

    seen.watch.feed(f"{STAMP}Internal error: Oops: 96000046 [#1] SMP\n".encode())
    seen.watch.feed(f"{STAMP}Call trace:\n{STAMP}{PANIC}\n".encode())
    seen.watch.settle()

    (sighting,) = seen.told
    assert (sighting.fault.severity, sighting.line) == (FaultSeverity.FATAL, PANIC)
    assert len(sighting.lines) == 3


def test_what_follows_a_death_is_no_news() -> None:
    assert Seen().names(f"{STAMP}{PANIC}", "U-Boot 2023.01 (Feb 22 2023)") == ["kernel-panic"]


def test_console_that_ends_in_a_line_shows_its_fault() -> None:
    seen = Seen()
    seen.watch.feed(f"{STAMP}{PANIC}".encode())

    assert seen.watch.sees_something()


def test_test_case_is_the_one_that_the_console_was_in() -> None:
    case = b"<LAVA_SIGNAL_STARTTC %b>\r\n%b\r\n<0.7<LAVA_SIGNAL_ENDTC %b CHECK=71>\r\n"
    oops = b"[   12.34567%d] Internal error: Oops: 96000046 [#1] SMP"
    seen = Seen()

    for data in (oops % 0, case % (b"quick", oops % 1, b"quick"), oops % 2):
        seen.watch.feed(data + b"\n")
        seen.watch.settle()

    assert [one.test_case for one in seen.told] == [None, "quick", None]


def test_job_ignores_names_and_adds_patterns_of_its_own() -> None:
    own = Fault(
        name="mine",
        severity=FaultSeverity.NOTE,
        pattern=r"lost \d+ frames",
        place=FaultPlace.ANYWHERE,
    )
    seen = Seen(own, ignored=("oom",))

    assert seen.names(f"{STAMP}Out of memory: Killed process 3 (a)", "eth0: lost 3 frames") == [
        "mine"
    ]


def test_a_pattern_that_takes_for_ever_is_given_up_and_the_others_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(user_pattern, "MATCH_S", 0.05)
    own = [
        Fault(name=name, severity=FaultSeverity.ERROR, pattern=text, place=FaultPlace.ANYWHERE)
        for name, text in (("slow", "(a|a)*b"), ("quick", "meltdown"))
    ]
    seen: list[Sighting] = []
    given_up: list[JobError] = []
    watch = Watch(seen.append, added=own, give_up=given_up.append)

    watch.feed(b"a" * 26 + b" b\n" + b"meltdown\n" + b"a" * 26 + b" b\n")
    watch.settle()

    assert [one.fault.name for one in seen] == ["quick"]
    (error,) = given_up
    assert "'(a|a)*b' takes too long" in error.message


def test_only_the_kernels_and_the_firmwares_last_words_are_a_death() -> None:
    own = Fault(
        name="mine", severity=FaultSeverity.FATAL, pattern="GIVE UP", place=FaultPlace.ANYWHERE
    )
    living, dead = Seen(own), Seen(own)

    assert living.names("GIVE UP") == ["mine"]
    assert dead.names(f"{STAMP}{PANIC}") == ["kernel-panic"]

    assert not living.watch.system_died
    assert dead.watch.system_died
