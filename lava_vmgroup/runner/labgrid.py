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
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from lava_vmgroup.connections.program import ProgramOutput, run_tool
from lava_vmgroup.runner.labgrid_claims import Claim, Note, claims_left, noted
from lava_vmgroup.runner.waiting import waited_for

_PLACE, _HOST, _USER = "LG_PLACE", "LG_HOSTNAME", "LG_USERNAME"
"""labgrid's environment variables for the place and for the name of whoever acquires it."""
_ANSWER_S = 60.0
"""Seconds for a command that does not wait."""
_RELEASE_S = 20.0
_WATCH_S = 300.0
"""Seconds after which the holder of the place is asked for, even if labgrid told no change."""
_TAKER_S = 2.0
"""Seconds within which whoever took a place away acquires it."""
_BEGUN_S = 3.0
"""Seconds in which labgrid's monitor begins."""
_AGAIN_S = 5.0
_MAX_LINE = 65536
_HEAD = re.compile(r"^labgrid-client: (Error: )?")
_PLACES = re.compile(r"^Place '(.+)':$", re.MULTILINE)
_HOLDER = re.compile(r"^\s*acquired: (.+)$", re.MULTILINE)
_TAGS = re.compile(r"^\s*tags: (.+)$", re.MULTILINE)
_ALIASES = re.compile(r"^\s*aliases: (.+)$", re.MULTILINE)
_TOKEN = re.compile(r"LG_TOKEN=(\S+)")
_GONE = re.compile("does not exist|matches nothing")
"""labgrid's words about a place or a reservation that it does not know any more."""
_ODD = re.compile(r"[^A-Za-z0-9_.@+-]")
"""Characters that a name of a host or a user in labgrid should not have."""


class Client:
    """``labgrid-client`` in the name of one job."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        variables = {"PYTHONUNBUFFERED": "1", **environment}
        self.argv = ["env", *(f"{name}={value}" for name, value in variables.items()), *command]

    def ask(self, *words: str, limit: Deadline, answer_s: float | None = None) -> str:
        """Run a command, and return its output.

        Raises `InfrastructureError` with the command's words, and if there is no answer in time.
        """
        own = limit.sub("labgrid's answer", _ANSWER_S if answer_s is None else answer_s)
        try:
            done = run_tool([*self.argv, *words], own)
        except DeadlineExpired as error:
            limit.check()
            raise InfrastructureError(
                f"labgrid gave no answer within {own.limit_s:.0f} s"
            ) from error
        if done.returncode != 0:
            said = (done.stderr or done.stdout).decode(errors="replace").strip()
            last = (said.splitlines() or ["it ended without a word"])[-1]
            raise InfrastructureError(_HEAD.sub("", last))
        return done.stdout.decode(errors="replace")

    def place(self, name: str, limit: Deadline) -> str:
        """Return the name of a place by its name, its alias or a reservation's token.

        labgrid itself would also take a part of a name.
        """
        shown = self.ask("-p", name, "show", limit=limit)
        found = _PLACES.search(shown)
        place = found[1] if found else ""
        aliases = ", ".join(_ALIASES.findall(shown)).split(", ")
        own = {place, *aliases, *(alias.partition(":")[2] for alias in aliases)}
        if not place or not (name in own or name.startswith("+")):
            near = f"; it has {place!r}" if place else ""
            raise InfrastructureError(f"labgrid has no place {name!r}{near}")
        return place

    def holder(self, place: str, limit: Deadline) -> str:
        """Return the host and the user who have acquired the place, or ""."""
        found = _HOLDER.search(self.ask("-p", place, "show", limit=limit))
        if found is None:
            raise InfrastructureError(f"labgrid does not say who has {place}")
        return "" if found[1] == "None" else found[1]

    def tags(self, limit: Deadline) -> list[set[str]]:
        """Return the tags of each place, which include its name."""
        _, *parts = _PLACES.split(self.ask("-v", "places", limit=limit))
        return [
            {f"name={name}", *", ".join(_TAGS.findall(shown)).split(", ")}
            for name, shown in zip(parts[::2], parts[1::2], strict=True)
        ]


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
    command = shlex.join(device.labgrid_client)
    host = os.environ.get(_HOST) or socket.gethostname()
    user = f"{_ODD.sub('_', _user())}-job-{secrets.token_hex(3)}"
    claim = Claim(client=command, host=_ODD.sub("_", host), user=user)
    environment = {_HOST: claim.host, _USER: claim.user}
    client = Client(device.labgrid_client, environment)
    text = f"acquiring {device.labgrid_place or device.labgrid_tags} in labgrid"
    log.event("waiting", text, state=text)
    for left in claims_left(folder, command):
        log.warning(
            "release", f"giving back what a killed job held in labgrid as {left.claim.owner}"
        )
        left.is_over = _give_back(client, left.claim, log)
    with noted(folder, claim) as note:
        try:
            taking = partial(_take, device, client, note, wait_s)
            limit_s = wait_s + device.acquire_timeout + _WATCH_S
            place = waited_for(taking, "labgrid", limit_s, pause)
            log.event("acquired", f"acquired {place} of labgrid", place=place)
            environment = {**environment, _PLACE: place}
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
    _wait(client, found[1], limit.sub("labgrid's queue", queue_s))
    return client.place(f"+{found[1]}", limit)


def _wait(client: Client, token: str, limit: Deadline) -> None:
    try:
        client.ask("wait", token, limit=limit, answer_s=limit.limit_s)
    except (DeadlineExpired, InfrastructureError) as error:
        if not limit.expired:
            raise
        raise DeviceInUse(f"it was not free within {limit.limit_s:.3g} s") from error


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
    if device is None or _PLACE not in device.environment:
        return True
    client = Client(device.labgrid_client, device.environment)
    try:
        return client.holder(device.environment[_PLACE], limit) == _owner(device)
    except VMGroupError:
        return False


def taken_away(device: DeviceConfig | None) -> DeviceTaken | None:
    """Return the error if somebody has taken the device's place away, as far as labgrid says."""
    if device is None or _PLACE not in device.environment:
        return None
    client = Client(device.labgrid_client, device.environment)
    limit = Deadline.after("labgrid's answer", _RELEASE_S)
    try:
        return _taken(client, device, limit)
    except VMGroupError:
        return None


def _taken(client: Client, device: DeviceConfig, limit: Deadline) -> DeviceTaken | None:
    place = device.environment[_PLACE]
    holder = client.holder(place, limit)
    if holder == _owner(device):
        return None
    if not holder:
        limit.pause(_TAKER_S)
        holder = client.holder(place, limit)
    by = f"taken away by {holder}" if holder else "released by somebody else"
    return DeviceTaken(f"the place {place} was {by}")


def _owner(device: DeviceConfig) -> str:
    return f"{device.environment[_HOST]}/{device.environment[_USER]}"


@contextmanager
def watched(device: DeviceConfig | None, lose: Callable[[DeviceTaken], None]) -> Iterator[None]:
    """Call `lose` if somebody takes the place of a held device away within the block."""
    if device is None or _PLACE not in device.environment:
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
        self._place = device.environment[_PLACE]
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
                if error := self._lost(limit):
                    self._lose(error)
                    return
            except DeadlineExpired:
                continue
            except InfrastructureError as error:
                if self.token.reason is None and not self._was_away:
                    text = f"cannot see who has {self._place}: {error.message}"
                    self._log.warning("labgrid", text)
                self._was_away = True
                self.token.wait(_AGAIN_S)

    def _lost(self, limit: Deadline) -> DeviceTaken | None:
        """Return the error if the place is not the job's; else wait until it changes."""
        # A killed job cannot end the monitor.
        command = ["timeout", f"{2 * _WATCH_S:.0f}", *self._client.argv, "monitor"]
        with ProgramOutput(command, limit) as monitor:
            if error := self._look(limit):
                return error
            # The monitor may have begun after a change that came after this look.
            if not monitor.has_more(_BEGUN_S) and (error := self._look(limit)):
                return error
            lines = io.BufferedReader(monitor)
            while line := lines.readline(_MAX_LINE):
                if line.startswith(f"Place {self._place} ".encode()):
                    return None
        raise InfrastructureError("labgrid's monitor has ended")

    def _look(self, limit: Deadline) -> DeviceTaken | None:
        """Return the error if the place is not the job's."""
        if self._was_away and not self._client.holder(self._place, limit):
            # labgrid forgets who had a place when its coordinator is restarted.
            self._client.ask("-p", self._place, "acquire", limit=limit)
            self._log.warning("labgrid", f"acquired {self._place} again: labgrid forgot the job")
        error = _taken(self._client, self._device, limit)
        self._was_away = False
        return error
