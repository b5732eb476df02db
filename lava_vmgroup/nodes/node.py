# SPDX-License-Identifier: MIT
"""A member of the group: its machine, its place among the others, and its booted system."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from pathlib import Path

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, JobError, VMGroupError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.settings import BOOT_COMMANDS, DEFAULT_BOOT, BootSettings, DeploySettings
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.deploy.tftp import KernelFiles
from lava_vmgroup.job.model import NodeJob
from lava_vmgroup.multinode import api
from lava_vmgroup.multinode.client import Membership, MultiNodeClient
from lava_vmgroup.multinode.standstill import Standstill
from lava_vmgroup.nodes.shared import Shared
from lava_vmgroup.systems.console_watch import NodeWatch
from lava_vmgroup.systems.shell_run import ShellRun
from lava_vmgroup.systems.system import System
from lava_vmgroup.testdefs.overlay import OverlaySpec, OverlayTest, placed_bytes, trees_apart
from lava_vmgroup.testdefs.tree import size_of
from lava_vmgroup.testshell.calls import GroupSide, IfBlocked
from lava_vmgroup.testshell.events import MultiNodeApi, MultiNodeCall
from lava_vmgroup.testshell.replies import Reply
from lava_vmgroup.testshell.runs import RunRecorder
from lava_vmgroup.vms.introduction import is_introduction

_TELL_S = 5.0
_TEST_SHELL = "lava_test_shell"
_RUNNING = "running the tests"


class Node(abc.ABC):
    """One member of the group; the runner makes it, and only its own thread uses it."""

    def __init__(
        self, job: NodeJob, name: str, shared: Shared, token: CancelToken, config: DeviceConfig
    ) -> None:
        self.job = job
        self.name = name
        self.shared = shared
        self.token = token
        self.log = NodeLog(name)
        self.folder = shared.output / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.console_log = Recorder(self.folder / "console.log", shared.console_copy)
        self._records_log = Recorder(self.folder / "records.log", shared.console_copy)
        self.recorder = RunRecorder(self.log)
        settings = shared.group.settings.console_watch
        self.watch = NodeWatch(settings, token, self.recorder, self.log)
        silence_s = settings.silence_s
        labs_s = config.console_silence * config.timeout_scale
        self.watch.silence_s = labs_s if silence_s is None else silence_s
        self.attributes: dict[str, str] = {}
        self.members: list[tuple[str, str]] = []
        """Name and role of every member of the group, once it is complete."""
        self.client = MultiNodeClient(
            shared.coordinator,
            Membership(
                group_name=shared.group.target_group,
                group_size=job.group_size,
                client_name=name,
                role=job.role,
            ),
            token,
        )
        self._lab_config = config
        for doubt in config.doubts():
            self.log.warning("config", doubt)
        _refuse_unknown_options(job, config)
        self._settings = DeploySettings()
        self._system: System | None = None
        self._shells_to_come = sum(action.command == _TEST_SHELL for action in job.actions)
        self._tests_ended = False
        """True while the group counts the tests of this node as ended."""

    def join(self, deadline: Deadline) -> None:
        """Wait until the group is complete, and get to know its members."""
        self.members = sorted(self.client.group_data(deadline).items(), key=_place_in_group)
        self._tell_tests(deadline)

    def configure(self, settings: DeploySettings) -> None:
        """Use these settings of the job for the system that is deployed next."""
        self._settings = settings

    @property
    def config(self) -> DeviceConfig:
        """The node's configuration, with the job's settings for the deployed system."""
        return self._settings.over(self._lab_config)

    @abc.abstractmethod
    def deploy_image(self, image: Path, deadline: Deadline, pflash: Sequence[Path] = ()) -> None:
        """Put a disk image where the next boot finds it; `pflash` are files for a VM's flash."""

    @abc.abstractmethod
    def deploy_kernel(self, files: KernelFiles, deadline: Deadline) -> None:
        """Put kernel, ramdisk, device tree and root file system where the next boot finds them."""

    @abc.abstractmethod
    def boot(self, deadline: Deadline, settings: BootSettings = DEFAULT_BOOT) -> None:
        """Start the system anew and bring it to a shell."""

    def expect_tests(self, carried: int, placed: int) -> None:
        """Refuse tests before the boot that surely have no room.

        Their repositories have `carried` bytes, and `placed` bytes once each test has its own.
        """
        del carried, placed

    @abc.abstractmethod
    def close(self) -> None:
        """Stop the machine and remove all that the job left; never raises.

        Blocks for the time limits of the clean-up at most.
        """

    def host_is_lost(self, error: VMGroupError) -> None:
        """End the node because its host is out of reach; any thread may call this."""
        self.shared.host.loss = error
        self.token.cancel(error)

    @abc.abstractmethod
    def finish(self, deadline: Deadline) -> None:
        """Do the node's duties towards the group after its last action."""

    @abc.abstractmethod
    def test_shell_ended(self, deadline: Deadline) -> None:
        """Do the node's duties after each test shell."""

    @property
    def waits_after_tests(self) -> bool:
        """Return whether the node's next test shell waits until all VMs have closed."""
        return False

    @abc.abstractmethod
    def message_sent(self, message_id: str) -> None:
        """Note that the node's test has sent a message to the group."""

    @property
    def system(self) -> System:
        """The booted system.  Raises `InfrastructureError` before the first boot."""
        if self._system is None:
            raise InfrastructureError("the system has not been booted")
        return self._system

    @property
    def shell(self) -> Shell:
        """The shell on the node's console, once it has booted."""
        return self.system.shell

    def ensure_booted(self, deadline: Deadline) -> None:
        """Boot unless that was done since the last deployment."""
        if self._system is None:
            self.boot(deadline)

    def run_tests(
        self,
        tests: list[OverlayTest],
        deadline: Deadline,
        *,
        directory: str = "",
        repeat_count: int = 0,
    ) -> None:
        """Run test definitions in the node's system; `recorder` takes the results as they come.

        `directory` is where the tests go on the node, with a name of its own for each node by
        default; `repeat_count` is what they learn as REPEAT_COUNT.
        """
        trees = trees_apart(tests)
        self.expect_tests(sum(map(size_of, trees)), placed_bytes(tests))
        self.ensure_booted(deadline)
        run = ShellRun(
            system=self.system,
            spec=self._spec(tests, directory, repeat_count),
            recorder=self.recorder,
            records_log=self._records_log,
            log=self.log,
        )
        run.install([self.shared.packed(tree, deadline) for tree in trees], deadline)
        self.recorder.expect_tests(tests)
        self._tell_tests(deadline, begin=True)
        self.log.event("state", _RUNNING, state=_RUNNING)
        try:
            with self.watch.running_tests():
                run.run(GroupSide(self._answer, self.client.who_waits), deadline)
        except VMGroupError:
            run.collect_after_failure(deadline)
            raise
        self._shells_to_come -= 1
        self._tell_tests(deadline)
        run.collect(deadline)
        self.recorder.close_tests(tests)

    def _spec(self, tests: list[OverlayTest], directory: str, repeat_count: int) -> OverlaySpec:
        return OverlaySpec(
            node=self.name,
            role=self.job.role,
            group=self.members,
            tests=tests,
            first_number=self.recorder.expected,
            lava_test_dir=directory,
            target_group=self.shared.group.target_group,
            host_ip=self.attributes.get("host_ip"),
            is_host=self.job.is_host,
            debug=self.shared.group.settings.logging_level == "DEBUG",
            server_ip=self.shared.lab.dispatcher.lava_server_ip,
            exports=self.shared.lab.dispatcher.proxy_variables,
            repeat_count=repeat_count,
            records_file=self.system.records_file,
        )

    def _tell_tests(self, deadline: Deadline, *, begin: bool = False) -> None:
        """Tell the group when this node's tests end, or begin again."""
        ended = not begin and (self._shells_to_come <= 0 or self.waits_after_tests)
        if ended == self._tests_ended:
            return
        self._tests_ended = ended
        try:
            limit = deadline.sub("telling the group about the tests", _TELL_S)
            self.client.tell_tests(limit, ended=ended)
        except VMGroupError as error:
            deadline.check()
            self.log.debug("multinode", f"the group does not know of the tests: {error.message}")

    def _answer(
        self, call: MultiNodeCall, token: CancelToken, deadline: Deadline, if_blocked: IfBlocked
    ) -> Reply | None:
        if call.api is MultiNodeApi.SEND and is_introduction(call.message_id):
            self.log.warning("multinode", f"no test may send {call.message_id}: not sent")
            return None

        def on_standstill(standstill: Standstill) -> None:
            self._tell_standstill(standstill)
            if standstill.in_vain:
                if_blocked(lambda: self._tell_blocked(standstill, token, deadline))

        with self.token.also_canceling(token):
            client = self.client.with_token(token, on_standstill)
            reply = api.answer(call, client, deadline)
        self.log.debug("state", _RUNNING, state=_RUNNING)
        if call.api is MultiNodeApi.SEND:
            self.message_sent(call.message_id)
        return reply

    def _tell_standstill(self, standstill: Standstill) -> None:
        """Log that every member waits, once in this process."""
        lines = "; ".join(standstill.lines)
        own = [line for line in standstill.lines if self.name in line] or [lines]
        self.log.debug("state", own[0], state=own[0])
        if self.shared.is_new(lines):
            self.log.warning(
                "standstill", f"everybody waits, unless a test does something beside: {lines}"
            )

    def _tell_blocked(self, standstill: Standstill, token: CancelToken, deadline: Deadline) -> None:
        try:
            self.client.with_token(token).tell_blocked(standstill, deadline)
        except VMGroupError as error:
            self.log.debug("multinode", f"the group does not know of the wait: {error.message}")


def _place_in_group(member: tuple[str, str]) -> tuple[int, str]:
    """Return the order of members: the host, then the VMs by the numbers in their names."""
    name = member[0]
    number = name.rpartition(".")[2] if "-job" in name else ""
    return (int(number) if number.isdecimal() else -1, name)


def _refuse_unknown_options(job: NodeJob, config: DeviceConfig) -> None:
    """Raise `JobError` now for an unknown boot option, which a boot action would meet later."""
    for action in job.actions:
        if action.command in BOOT_COMMANDS:
            try:
                BootSettings.of(action.parameters).over(config)
            except JobError as error:
                raise JobError(f"{action.place}: {error.message}", hint=error.hint) from error
