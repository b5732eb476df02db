# SPDX-License-Identifier: MIT
"""Reads changed jobs, test definitions and device configurations.

``python tests/fuzz/jobs.py --count 100000 --seed 7`` ends with status 0 if each was taken, or
refused as the job's or the configuration's fault, in time, and if nothing was started for any.
"""

from __future__ import annotations

import copy
import json
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from lava_vmgroup import actions
from lava_vmgroup.base.errors import ConfigurationError, JobError, VMGroupError
from lava_vmgroup.config import files
from lava_vmgroup.config.inventory import find_device
from lava_vmgroup.config.settings import BootSettings, DeploySettings
from lava_vmgroup.job import expand, load_document, parse_job, to_document
from lava_vmgroup.job.sub_job import Assignment, is_sub_job, parse_sub_job
from lava_vmgroup.runner.admission import admit_job, admit_sub_job
from lava_vmgroup.testdefs.definition import parse_definition
from lava_vmgroup.testdefs.overlay import OverlaySpec, OverlayTest, build_overlay
from tests.fuzz import mutate

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).with_name("corpus") / "jobs"
LIMIT_S = 20.0
"""Processor time for one input."""
STATUSES = (JobError.exit_status, ConfigurationError.exit_status)
ODD: tuple[Any, ...] = (
    None, True, 0, -1, 2**31, 10**400, 0.5, float("nan"), float("inf"), [], {}, [[]], {"": ""},
    "", "\0", "\ud800", "\x1b[31m", "a\nb", "x" * 5000, "a/" * 3000, "../../etc/passwd",
    "/dev/zero", "/dev/null", "/", ".", "-x", "http://[", "http://a:b/", "scp://-o/x",
    "ssh://-oProxy/x", "ext::sh -c id", "$(id)", "`id`", "; id", "%(x)s", "{X}", "%s",
    "(a+)+", "(a|a)*b", ".*.*.*.*x", "[[:alpha:]]", "(?P<test_case_id>.*)(?P<result>.*)",
    {"url": "x", "sha256sum": "0" * 64 + "\n"},
)  # fmt: skip


class Deeds:
    """Programs and addresses that Python starts and connects to while it is `watched`."""

    watched = False
    done: list[str] = []  # noqa: RUF012 - an audit hook cannot be removed, and there is one

    @classmethod
    def see(cls, event: str, arguments: tuple[Any, ...]) -> None:
        active = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork")
        if cls.watched and (event in active or event.startswith("socket.")):
            cls.done.append(f"{event}{arguments}"[:200])


sys.addaudithook(Deeds.see)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value in JSON data."""
    yield path
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*path, key))


def changed(document: Any, others: list[Any], chance: random.Random) -> Any:
    """JSON data with some values in the place of others."""
    document = json.loads(json.dumps(document))
    for _ in range(chance.randint(1, 3)):
        *above, last = chance.choice(list(places(document))[1:] or [("x",)])
        at = document
        for part in above:
            at = at[part]
        other = chance.choice(others)
        value = copy.deepcopy(chance.choice((chance.choice(ODD), _part(other, chance))))
        match chance.randrange(4):
            case 0 if isinstance(at, dict):
                del at[last]
            case 1 if isinstance(at, dict):
                at[str(chance.choice(ODD))[:100]] = value
            case 2 if isinstance(at, list):
                at.insert(last, value)
            case _ if isinstance(at, dict | list):
                at[last] = value
    return document


def _part(document: Any, chance: random.Random) -> Any:
    for part in chance.choice(list(places(document))):
        document = document[part]
    return document


def take_job(path: Path, config: Path) -> None:
    """Do with a job what is done before anything is run."""
    document = load_document(path)
    schemas, search_path = actions.parameter_schemas(), files.search_path(config)
    if is_sub_job(document):
        group = parse_sub_job(document, path.parent, schemas, Assignment(target=None, backend=None))
        admit_sub_job(group, search_path)
        return
    job = parse_job(document, path.parent, schemas)
    group = expand(job, job_id="1", target_group="group")
    for node in group.nodes[:4]:
        json.dumps(to_document(group, node)).encode()
        to_document(group, node, secrets=True)
    admit_job(job, search_path)


def take_definition(path: Path, config: Path) -> None:
    """Make of a definition what a node would run."""
    text = path.read_bytes().decode(errors="replace")
    definition = parse_definition(text, source=path.name)
    test = OverlayTest(definition=definition, uuid="uuid-0", source=text)
    build_overlay(OverlaySpec(node="vm1", role="guest", group=[("vm1", "guest")], tests=[test]))
    definition.parse.pattern.match("a : PASS")


def take_device(path: Path, config: Path) -> None:
    """Read a device's configuration."""
    types = config / "device-types" / "arndale.conf"
    shutil.copy(path, types)
    try:
        device = find_device("arndale", files.search_path(config), "board", None)
    finally:
        types.unlink()
    BootSettings().over(DeploySettings().over(device))


Take = Callable[[Path, Path], None]
_Text = tuple[str, bytes]


class Inputs:
    """Makes inputs from the examples, the broken jobs, and the corpus."""

    def __init__(self) -> None:
        tests, defaults = ROOT / "tests/broken", ROOT / "lava_vmgroup/default-config"
        jobs = [*ROOT.glob("examples/*/*.json"), *(tests / "jobs").iterdir()]
        definitions = [*ROOT.glob("examples/**/*.yaml"), *(tests / "testdefs").iterdir()]
        self._texts: dict[Take, tuple[list[_Text], list[_Text]]] = {
            take_job: (_read(CORPUS.glob("job*")), _read(jobs)),
            take_definition: (_read(CORPUS.glob("testdef*")), _read(definitions)),
            take_device: (_read(CORPUS.glob("device*")), _read(defaults.glob("**/*.conf"))),
        }
        self._documents = [
            document
            for texts in self._texts[take_job]
            for _, text in texts
            if isinstance(document := _json(text), dict) and document
        ]

    def make(self, chance: random.Random) -> tuple[Take, str, bytes]:
        """Return a handler for the next input, its file's name and its content."""
        take = chance.choice((take_job, take_job, take_job, take_definition, take_device))
        name, text = chance.choice(chance.choice(self._texts[take]))
        document = _json(text) if take is take_job and chance.random() < 0.7 else None
        if isinstance(document, dict):
            document = changed(document, self._documents, chance)
            return take, "job.json", json.dumps(document).encode()
        return take, f"input{Path(name).suffix}", mutate.mutated(text, chance)


def _read(paths: Iterable[Path]) -> list[_Text]:
    return [(path.name, path.read_bytes()) for path in sorted(paths)]


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def fuzz(count: int, seed: int) -> list[str]:
    """Read that many inputs."""
    inputs = Inputs()
    faults = []
    with tempfile.TemporaryDirectory() as name:
        config = Path(name) / "config"
        for kind in ("devices", "device-types"):
            (config / kind).mkdir(parents=True)
        (config / "devices/board.conf").write_text("device_type = arndale\n")
        folder = Path(name) / "jobs"
        folder.mkdir()
        shutil.copytree(ROOT / "tests/broken/files", Path(name) / "files")
        for number in range(count):
            chance = random.Random(f"{seed} {number}")  # noqa: S311 - to be repeated
            take, called, content = inputs.make(chance)
            (folder / called).write_bytes(content)
            if fault := _taken(take, folder / called, config):
                faults.append(f"input {number}, {take.__name__} of {content[:3000]!r}: {fault}")
            if left := {path.name for path in folder.iterdir()} - {called}:
                faults.append(f"input {number} left {left}")
            (folder / called).unlink()
    return faults


def _taken(take: Take, path: Path, config: Path) -> str | None:
    """Return the fault in the handling of one input, or None."""
    began = time.process_time()
    Deeds.done.clear()
    Deeds.watched = True
    try:
        take(path, config)
    except VMGroupError as error:
        if error.exit_status not in STATUSES:
            return f"status {error.exit_status}: {error.describe()}"
    except Exception:  # noqa: BLE001 - that is what is looked for
        return traceback.format_exc()
    finally:
        Deeds.watched = False
    if Deeds.done:
        return f"it started {Deeds.done}"
    took = time.process_time() - began
    return f"it took {took:.1f} s" if took > LIMIT_S else None


def main(arguments: list[str] | None = None) -> int:
    """Run as told on the command line; 1 if anything was wrong."""
    return mutate.main(fuzz, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
