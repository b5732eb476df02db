#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A stand-in for ``labgrid-client`` and the coordinator behind it, whose state is a JSON file.

Only what the product asks for; ``tests/labs/test_labgrid_client.py`` holds it to labgrid's own.
``labgrid_client.py STATE [-p PLACE | -v] COMMAND...``; a STATE that does not exist is a coordinator
that is away.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NoReturn

_POLL_S = 0.05


def main(words: list[str]) -> None:
    """Do one command."""
    path, pattern = Path(words.pop(0)), ""
    if words[0] == "-p":
        pattern, words = words[1], words[2:]
    words = [word for word in words if word != "-v"]
    command, *rest = words
    if command == "monitor":
        monitor(path)
    if command == "wait":
        wait(path, *rest)
        return
    with changing(path) as state:
        place = found(state, pattern) if pattern else ""
        COMMANDS[command](state, place, *rest)


@contextmanager
def opened(path: Path, mode: str, lock: int) -> Iterator[IO[str]]:
    """The state's file, locked."""
    try:
        file = path.open(mode)
    except OSError:
        fail("Could not connect to coordinator")
    with file:
        fcntl.flock(file, lock)
        yield file


def read(path: Path) -> Any:
    """The state."""
    with opened(path, "r", fcntl.LOCK_SH) as file:
        return json.load(file)


@contextmanager
def changing(path: Path) -> Iterator[Any]:
    """The state, which is written at the end of the block."""
    with opened(path, "r+", fcntl.LOCK_EX) as file:
        state = json.load(file)
        yield state
        allocate(state)
        file.seek(0)
        file.truncate()
        json.dump(state, file)


def allocate(state: Any) -> None:
    """Give free places to reservations, the oldest first."""
    for reservation in state["reservations"]:
        for name, place in state["places"].items():
            kept = [one["place"] for one in state["reservations"]]
            fits = set(reservation["tags"]) <= {f"name={name}", *place["tags"]}
            if not reservation["place"] and fits and not place["acquired"] and name not in kept:
                reservation["place"] = name


def found(state: Any, pattern: str) -> str:
    if pattern.startswith("+"):
        kept = {one["token"]: one["place"] for one in state["reservations"]}
        return str(
            kept.get(pattern[1:]) or fail(f"reservation token {pattern[1:]} matches nothing")
        )
    names = [name for name in state["places"] if pattern in name]
    if not names:
        fail(f"place pattern {pattern} matches nothing")
    return str(names[0])


def show(state: Any, place: str) -> None:
    entry = state["places"][place]
    say(f"Place '{place}':")
    if entry["tags"]:
        say(f"  tags: {', '.join(entry['tags'])}")
    say(f"  matches:\n  acquired: {entry['acquired']}\n  acquired resources:")


def places(state: Any, _place: str) -> None:
    for name in state["places"]:
        show(state, name)


def acquire(state: Any, place: str) -> None:
    entry = state["places"][place]
    if entry["acquired"]:
        fail(
            f"Place {place} is already acquired by {entry['acquired']}. To work simultaneously, ask"
        )
    kept = next((one for one in state["reservations"] if one["place"] == place), None)
    if kept and kept["owner"] != own_name():
        fail(f"Place {place} is reserved for {kept['token']}")
    entry["acquired"] = own_name()
    say(f"acquired place {place}")


def release(state: Any, place: str, *_options: str) -> None:
    state["places"][place]["acquired"] = None
    say(f"released place {place}")


def release_from(state: Any, place: str, owner: str) -> None:
    if not state["places"][place]["acquired"]:
        fail(f"place {place} is not acquired")
    if state["places"][place]["acquired"] == owner:
        state["places"][place]["acquired"] = None
    say(f"{owner} has released place {place}")


def reserve(state: Any, _place: str, _shell: str, *tags: str) -> None:
    token = f"TOKEN{time.monotonic_ns()}"
    entry = {"token": token, "tags": tags, "owner": own_name(), "place": ""}
    state["reservations"].append(entry)
    say(f"export LG_TOKEN={token}")


def cancel_reservation(state: Any, _place: str, token: str) -> None:
    state["reservations"] = [one for one in state["reservations"] if one["token"] != token]


def wait(path: Path, token: str) -> None:
    while True:
        reservations = read(path)["reservations"]
        if next(one["place"] for one in reservations if one["token"] == token):
            return
        time.sleep(_POLL_S)


def monitor(path: Path) -> NoReturn:
    before = read(path)["places"]
    while True:
        after = read(path)["places"]
        for name, place in after.items():
            if before[name] != place:
                change = f"{before[name]['acquired']} -> {place['acquired']}"
                say(f"Place {name} changed:\n  acquired: {change}")
        before = after
        time.sleep(_POLL_S)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def own_name() -> str:
    host = os.environ.get("LG_HOSTNAME", socket.gethostname())
    return f"{host}/{os.environ['LG_USERNAME']}"


def fail(reason: str) -> NoReturn:
    sys.exit(f"labgrid-client: Error: {reason}")


COMMANDS: dict[str, Callable[..., None]] = {
    "show": show,
    "places": places,
    "acquire": acquire,
    "release": release,
    "release-from": release_from,
    "reserve": reserve,
    "cancel-reservation": cancel_reservation,
}

if __name__ == "__main__":
    main(sys.argv[1:])
