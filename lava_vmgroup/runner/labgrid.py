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
from collections.abc import Callable, Iterator, Mapping
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
_PREPARING_S = 60.0
"""Seconds for commands that do not wait."""
_WATCH_S = 300.0
"""Seconds after which the holder of the place is asked for, even if labgrid told no change."""
_TAKER_S = 2.0
"""Seconds within which whoever took a place away acquires it."""
_AGAIN_S = 5.0
_HEAD = re.compile(r"^labgrid-client: (Error: )?")
_NAME = re.compile(r"^Place '([^']+)'", re.MULTILINE)
_HOLDER = re.compile(r"^\s*acquired: (\S+)", re.MULTILINE)
_QUOTE = "'"
_TAGS = re.compile(r"^\s*tags: (.+)$", re.MULTILINE)


class Client:
    """``labgrid-client`` in the name of one job."""

    def __init__(self, command: str, environment: Mapping[str, str]) -> None:
        variables = {"PYTHONUNBUFFERED": "1", **environment}
        self.argv = ["env", *(f"{name}={value}" for name, value in variables.items())]
        self.argv += shlex.split(command)

    def ask(self, *words: str, limit: Deadline) -> str:
        """Run a command, and return its output; raises `InfrastructureError` with its words."""
        done = run_tool([*self.argv, *words], limit)
        if done.returncode != 0:
            said = (done.stderr or done.stdout).decode(errors="replace").strip()
            last = (said.splitlines() or ["it ended without a word"])[-1]
            raise InfrastructureError(_HEAD.sub("", last))
        return done.stdout.decode(errors="replace")

    def place(self, pattern: str, limit: Deadline) -> str:
        """Return the name of the place that a pattern of labgrid's means."""
        found = _NAME.search(self.ask("-p", pattern, "show", limit=limit))
        if found is None:
            raise InfrastructureError(f"labgrid shows no place {pattern!r}")
        return found[1]

    def holder(self, place: str, limit: Deadline) -> str:
        """Return the host and the user who have acquired the place, or ""."""
        found = _HOLDER.search(self.ask("-p", place, "show", limit=limit))
        return "" if found is None or found[1] == "None" else found[1]

    def tags(self, limit: Deadline) -> list[set[str]]:
        """Return the tags of each place, which include its name."""
        _, *places = re.split("^Place ", self.ask("-v", "places", limit=limit), flags=re.MULTILINE)
        return [
            {f"name={place.split(_QUOTE)[1]}", *", ".join(_TAGS.findall(place)).split(", ")}
            for place in places
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
    claim = Claim(
        client=device.labgrid_client,
        host=os.environ.get(_HOST) or socket.gethostname(),
        user=f"{os.environ.get(_USER) or getpass.getuser()}-job-{secrets.token_hex(3)}",
    )
    environment = {_HOST: claim.host, _USER: claim.user}
    client = Client(device.labgrid_client, environment)
    for left in claims_left(folder, device.labgrid_client):
        log.warning("release", f"giving back what a killed job held in labgrid as {left.owner}")
        _give_back(client, left, log)
    queue_s = device.acquire_timeout if device.labgrid_tags else wait_s
    with noted(folder, claim) as note:
        try:
            taking = partial(_take, device, client, note, queue_s)
            place = waited_for(taking, "labgrid", queue_s + _PREPARING_S, pause)
            log.event("acquired", f"acquired {place} of labgrid", place=place)
            environment = {**environment, _PLACE: place}
            yield replace(device, environment=MappingProxyType(environment))
        finally:
            _give_back(client, note.claim, log)


def _take(device: DeviceConfig, client: Client, note: Note, queue_s: float, limit: Deadline) -> str:
    """Acquire the device's place, in labgrid's queue if there is time for it; return its name."""
    try:
        if queue_s:
            place = _reserved(device, client, note, queue_s, limit)
        else:
            place = client.place(device.labgrid_place, limit)
        note.add(place=place)
        client.ask("-p", place, "acquire", limit=limit)
    except DeadlineExpired as error:
        raise DeviceInUse(
            f"{device.hostname} cannot be acquired: it was not free within {queue_s:.0f} s"
        ) from error
    except InfrastructureError as error:
        raise InfrastructureError(
            f"{device.hostname} cannot be acquired: {error.message}"
        ) from error
    return place


def _reserved(
    device: DeviceConfig, client: Client, note: Note, queue_s: float, limit: Deadline
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
    token = answer.rpartition("LG_TOKEN=")[2].strip()
    note.add(token=token)
    client.ask("wait", token, limit=limit.sub("labgrid's queue", queue_s))
    return client.place(f"+{token}", limit)


def _give_back(client: Client, claim: Claim, log: NodeLog) -> None:
    """Give back what a job holds; a failure is only a warning, as the job has ended."""
    limit = Deadline.after("giving back to labgrid", _PREPARING_S)
    try:
        if claim.token:
            client.ask("cancel-reservation", claim.token, limit=limit)
    except VMGroupError as error:
        log.warning("release", f"labgrid's reservation may stay: {error.message}")
    try:
        if claim.place:
            client.ask("-p", claim.place, "release-from", claim.owner, limit=limit)
    except VMGroupError as error:
        log.warning("release", f"{claim.place} may still be acquired: {error.message}")


@contextmanager
def watched(device: DeviceConfig | None, lose: Callable[[DeviceTaken], None]) -> Iterator[None]:
    """Call `lose` if somebody takes the place of a held device away within the block."""
    if device is None or _PLACE not in device.environment:
        yield
        return
    token = CancelToken()
    watching = threading.Thread(target=_watch, args=(device, token, lose), name="labgrid")
    watching.start()
    try:
        yield
    finally:
        token.cancel(InfrastructureError("the job has ended"))
        watching.join()


def _watch(device: DeviceConfig, token: CancelToken, lose: Callable[[DeviceTaken], None]) -> None:
    client = Client(device.labgrid_client, device.environment)
    log, is_blind = NodeLog(device.hostname), False
    while token.reason is None:
        limit = Deadline.after("watching labgrid", _WATCH_S, token)
        try:
            if error := _taken(client, device.environment, limit):
                lose(error)
                return
        except DeadlineExpired:
            continue
        except InfrastructureError as error:
            if token.reason is None and not is_blind:
                log.warning("labgrid", f"cannot see who has the place: {error.message}")
            is_blind = True
            token.wait(_AGAIN_S)


def _taken(client: Client, environment: Mapping[str, str], limit: Deadline) -> DeviceTaken | None:
    """Return the error if the place is not the job's.

    Else wait until it changes or the coordinator goes away, and return None.
    """
    place, own = environment[_PLACE], f"{environment[_HOST]}/{environment[_USER]}"
    # The monitor starts first: else a change between the two would not be seen.
    with ProgramOutput([*client.argv, "monitor"], limit) as monitor:
        holder = client.holder(place, limit)
        if holder != own:
            limit.pause(0.0 if holder else _TAKER_S)
            taker = holder or client.holder(place, limit)
            by = f"taken away by {taker}" if taker else "released by somebody else"
            return DeviceTaken(f"the place {place} was {by}")
        for line in io.BufferedReader(monitor):
            if line.startswith(f"Place {place} ".encode()):
                break
    return None
