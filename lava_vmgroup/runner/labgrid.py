# SPDX-License-Identifier: MIT
"""A place of labgrid's: reserved, acquired, watched and released by ``labgrid-client``.

Each job has a user name of its own in labgrid, so that neither its user's other commands nor other
jobs can use its place by mistake.  A file in the folder of locks says what the job holds.  The next
job that uses labgrid on this dispatcher gives back what a killed job held.
"""

from __future__ import annotations

import getpass
import io
import os
import re
import secrets
import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import (
    ConfigurationError,
    DeadlineExpired,
    DeviceInUse,
    DeviceTaken,
    InfrastructureError,
    VMGroupError,
)
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.labgrid import PLACE
from lava_vmgroup.connections.program import ProgramOutput
from lava_vmgroup.runner.labgrid_claims import Claim, Note, claims_left, noted
from lava_vmgroup.runner.labgrid_client import Client
from lava_vmgroup.runner.waiting import waited_for

_HOST, _USER = "LG_HOSTNAME", "LG_USERNAME"
"""labgrid's environment variables for the name of whoever acquires a place."""
_RELEASE_S = 20.0
_WATCH_S = 300.0
"""Seconds after which the holder of the place is asked for, even if labgrid told no change."""
_TAKER_S = 2.0
"""Seconds within which whoever took a place away acquires it."""
_BEGUN_S = 3.0
"""Seconds in which labgrid's monitor begins."""
_AGAIN_S = 5.0
_PAUSE_S = 1.0
_MAX_LINE = 65536
_MAX_LINES = 1000
"""Lines about other places after which the holder of the place is asked for."""
_TOKEN = re.compile(r"LG_TOKEN=(\S+)")
_GONE = re.compile("does not exist|matches nothing|is not acquired")
"""labgrid's words about what needs not be given back any more."""
_ODD = re.compile(r"[^A-Za-z0-9_.@+-]")
"""Characters that a name of a host or a user in labgrid should not have."""


@contextmanager
def held(
    device: DeviceConfig,
    log: NodeLog,
    pause: Callable[[float], None],
    *,
    folder: Path,
    wait_s: float,
) -> Iterator[DeviceConfig]:
    """Hold the device's place within the block; for the rest see `acquisition.acquired`.

    Raises `ConfigurationError` if no place has the device's tags.
    """
    # The same command may talk to another coordinator.
    variables = [os.environ.get(name, "") for name in ("LG_COORDINATOR", "LG_ENV")]
    command = shlex.join([*variables, *device.labgrid_client])
    host = os.environ.get(_HOST) or socket.gethostname()
    user = f"{_ODD.sub('_', _user())}-job-{secrets.token_hex(3)}"
    claim = Claim(client=command, host=_ODD.sub("_", host), user=user)
    environment = {_HOST: claim.host, _USER: claim.user}
    client = Client(device.labgrid_client, environment)
    text = f"acquiring {device.labgrid_place or device.labgrid_tags} in labgrid"
    log.event("waiting", text, state=text)
    for left in claims_left(folder, command):
        if left.claim.place or left.claim.token:
            text = f"giving back what a killed job held in labgrid as {left.claim.owner}"
            log.warning("release", text)
        left.is_over = _give_back(client, left.claim, log)
    with noted(folder, claim) as note:
        try:
            taking = partial(_take, device, client, note, wait_s)
            limit_s = wait_s + device.acquire_timeout + _WATCH_S
            place = waited_for(taking, "labgrid", limit_s, pause)
            log.event("acquired", f"acquired {place} of labgrid", place=place)
            environment = {**environment, PLACE: place}
            yield replace(device, environment=MappingProxyType(environment))
        finally:
            note.is_over = _give_back(client, note.claim, log)


def _user() -> str:
    try:
        return os.environ.get(_USER) or getpass.getuser()
    except (KeyError, OSError):
        # A container may run as a user without a name.
        return f"uid{os.getuid()}"


def _take(device: DeviceConfig, client: Client, note: Note, wait_s: float, limit: Deadline) -> str:
    """Acquire the device's place, in labgrid's queue if there is time for it; return its name."""
    try:
        if device.labgrid_tags or wait_s:
            place = _reserved(device, client, note, wait_s, limit)
        else:
            place = client.place(device.labgrid_place, limit)
        note.add(place=place)
        client.ask("-p", place, "acquire", limit=limit)
    except InfrastructureError as error:
        raise type(error)(f"{device.hostname} cannot be acquired: {error.message}") from error
    return place


def _reserved(
    device: DeviceConfig, client: Client, note: Note, wait_s: float, limit: Deadline
) -> str:
    """Return the name of a place that labgrid keeps for the job."""
    tags = device.labgrid_tags.split()
    if tags and not any(set(tags) <= one for one in client.tags(limit)):
        raise ConfigurationError(
            f"{device.place('labgrid_tags')}: labgrid has no place with {device.labgrid_tags}",
            hint="'labgrid-client -v places' shows the places with their tags",
        )
    wanted = tags or [f"name={client.place(device.labgrid_place, limit)}"]
    text = f"in labgrid's queue for {' '.join(wanted)}"
    NodeLog(device.hostname).event("waiting", text, state=text)
    answer = client.ask("reserve", "--shell", *wanted, limit=limit)
    found = _TOKEN.search(answer)
    if found is None:
        raise InfrastructureError(f"labgrid made no reservation, but said {answer.strip()!r}")
    note.add(token=found[1])
    queue_s = device.acquire_timeout if tags else wait_s
    queue = limit.sub("labgrid's queue", queue_s)
    try:
        client.ask("wait", found[1], limit=queue, answer_s=queue_s)
    except (DeadlineExpired, InfrastructureError):
        if not queue.expired:
            raise
    try:
        return client.place(f"+{found[1]}", limit)
    except InfrastructureError as error:
        raise DeviceInUse(f"it was not free within {round(queue_s, 1):g} s") from error


def _give_back(client: Client, claim: Claim, log: NodeLog) -> bool:
    """Give back what a job holds, and return True if it is; a failure is only a warning."""
    words = []
    if claim.token:
        words.append(["cancel-reservation", claim.token])
    if claim.place:
        words.append(["-p", claim.place, "release-from", claim.owner])
    given = True
    for command in words:
        limit = Deadline.after("giving back to labgrid", _RELEASE_S)
        try:
            client.ask(*command, limit=limit)
        except VMGroupError as error:
            if not _GONE.search(error.message):
                given = False
                what = claim.place or "a reservation"
                log.warning("release", f"labgrid may still keep {what}: {error.message}")
    return given


def is_held(device: DeviceConfig | None, limit: Deadline) -> bool:
    """Return False if the device's place is not the job's any more, or if labgrid does not say."""
    if device is None or PLACE not in device.environment:
        return True
    client = Client(device.labgrid_client, device.environment)
    try:
        return client.holder(device.environment[PLACE], limit) == _owner(device)
    except VMGroupError:
        return False


def taken_away(device: DeviceConfig | None) -> DeviceTaken | None:
    """Return the error if somebody has taken the device's place away, as far as labgrid says."""
    if device is None or PLACE not in device.environment:
        return None
    client = Client(device.labgrid_client, device.environment)
    limit = Deadline.after("labgrid's answer", _RELEASE_S)
    try:
        return _taken(client, device, limit)
    except VMGroupError:
        return None


def _taken(client: Client, device: DeviceConfig, limit: Deadline) -> DeviceTaken | None:
    """Return the error if labgrid says that the place is not the job's."""
    place = device.environment[PLACE]
    holder = client.holder(place, limit)
    if holder == _owner(device):
        return None
    if not holder:
        limit.pause(_TAKER_S)
        holder = client.holder(place, limit)
    # The watch may have acquired it again meanwhile.
    if holder == _owner(device):
        return None
    by = f"taken away by {holder}" if holder else "released by somebody else"
    return DeviceTaken(f"the place {place} was {by}")


def _owner(device: DeviceConfig) -> str:
    return f"{device.environment[_HOST]}/{device.environment[_USER]}"


@contextmanager
def watched(device: DeviceConfig | None, lose: Callable[[DeviceTaken], None]) -> Iterator[None]:
    """Call `lose` if somebody takes the place of a held device away within the block."""
    if device is None or PLACE not in device.environment:
        yield
        return
    watch = _Watch(device, lose)
    watching = threading.Thread(target=watch.run, name="labgrid")
    watching.start()
    try:
        yield
    finally:
        watch.token.cancel(InfrastructureError("the job has ended"))
        watching.join()


class _Watch:
    """The watch over the place of one job."""

    def __init__(self, device: DeviceConfig, lose: Callable[[DeviceTaken], None]) -> None:
        self._device = device
        self._lose = lose
        self._place = device.environment[PLACE]
        self._client = Client(device.labgrid_client, device.environment)
        self._log = NodeLog(device.hostname)
        self._was_away = False
        """True if labgrid's coordinator was away since it last knew the job."""
        self.token = CancelToken()

    def run(self) -> None:
        """Watch until the place is lost or the token is canceled."""
        while self.token.reason is None:
            limit = Deadline.after("watching labgrid", _WATCH_S, self.token)
            try:
                error = self._look(limit) or self._after_change(limit)
            except DeadlineExpired:
                continue
            except InfrastructureError as unseen:
                self._warn(unseen)
                continue
            if error:
                self._lose(error)
                return
            # A monitor may tell changes without end.
            self.token.wait(_PAUSE_S)

    def _look(self, limit: Deadline) -> DeviceTaken | None:
        """Return the error if the place is not the job's."""
        if self._was_away and not self._client.holder(self._place, limit):
            # labgrid forgets who had a place when its coordinator is restarted.
            self._client.ask("-p", self._place, "acquire", limit=limit)
            self._log.warning("labgrid", f"acquired {self._place} again: labgrid forgot the job")
        error = _taken(self._client, self._device, limit)
        self._was_away = False
        return error

    def _after_change(self, limit: Deadline) -> DeviceTaken | None:
        """Wait until the place may have changed; return the error if it is seen to be lost."""
        begun = time.monotonic()
        # A killed job cannot end the monitor.
        command = ["timeout", f"{2 * _WATCH_S:.0f}", *self._client.argv, "monitor"]
        with ProgramOutput(command, limit) as monitor:
            # The monitor may have begun after a change that came after the last look.
            if not monitor.has_more(_BEGUN_S) and (error := self._look(limit)):
                return error
            reader = io.BufferedReader(monitor)
            for _ in range(_MAX_LINES):
                line = reader.readline(_MAX_LINE)
                if line.startswith(f"Place {self._place} ".encode()):
                    return None
                if not line:
                    break
            else:
                return None
        if time.monotonic() - begun < _AGAIN_S:
            self.token.wait(_AGAIN_S)
        else:
            # A monitor that worked ends with its coordinator, which may be back very soon.
            self._was_away = True
        return None

    def _warn(self, unseen: InfrastructureError) -> None:
        if self.token.reason is None and not self._was_away:
            text = f"cannot see who has {self._place}: {unseen.message}"
            self._log.warning("labgrid", text)
        self._was_away = True
        self.token.wait(_AGAIN_S)
