# SPDX-License-Identifier: MIT
"""The results of a job as values: test cases in runs, runs in nodes, nodes in one job.

Nothing here knows a file format; `lava_vmgroup.results.writers` has one module for each.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from lava_vmgroup.base.console_faults import SeenFault
from lava_vmgroup.base.errors import VMGroupError


class Outcome(enum.Enum):
    """The verdict on one test case, in the words of LAVA's bundles."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    SKIP = "skip"
    UNKNOWN = "unknown"


class NodeState(enum.Enum):
    """How a node's part of the job ended."""

    COMPLETE = "Complete"
    INCOMPLETE = "Incomplete"
    CANCELED = "Canceled"
    SKIPPED = "Skipped"
    """An optional VM that its host could not carry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that a test left beside its results."""

    pathname: str
    """Relative, as the test named it."""
    mime_type: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class HardwareDevice:
    """One piece of a node's hardware, such as a processor."""

    device_type: str
    """``device.cpu``, ``device.board``, ``device.mem``..."""
    description: str
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftwareSource:
    """Where the files of a test definition came from."""

    project_name: str
    branch_vcs: str
    """``bzr``, ``git``, ``svn``, ``tar`` or ``url``."""
    branch_url: str
    branch_revision: str
    default_params: Mapping[str, str] = field(default_factory=dict)
    test_params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftwareContext:
    """What ran on the node during a test run."""

    image: str | None = None
    """The operating system in one line."""
    packages: tuple[tuple[str, str], ...] = ()
    """Name and version of what is installed."""
    sources: tuple[SoftwareSource, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TestCase:
    """One verdict that a test recorded."""

    __test__ = False

    name: str
    outcome: Outcome
    measurement: str | None = None
    """A number as the test wrote it; LAVA never interprets it."""
    units: str | None = None
    message: str | None = None
    test_set: str | None = None
    """The set that was open when the test case ended."""
    reference: str | None = None
    """A URL that lava-test-reference gave."""
    attachments: tuple[Attachment, ...] = ()
    recorded_at: datetime
    """UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRun:
    """One run of one test definition on one node."""

    __test__ = False

    name: str
    """The definition's ``metadata.name``."""
    uuid: str
    started_at: datetime
    duration_s: float
    cases: tuple[TestCase, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The bundle's testdef_metadata: description, version, format, location, url, environment,
    os, devices."""
    finished: bool = True
    """False when the run never reported its end (time-out, death of its system)."""
    missing_records: int = 0
    """How many of the results and other records of the run were lost on the way, for all that is
    known; their tests have not failed."""
    attachments: tuple[Attachment, ...] = ()
    hardware: tuple[HardwareDevice, ...] = ()
    software: SoftwareContext = field(default_factory=SoftwareContext)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionResult:
    """How one action of the job went on one node."""

    command: str
    duration_s: float
    started_at: datetime
    error: VMGroupError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeResult:
    """Everything one node has to report."""

    name: str
    sub_id: str
    """The job's number, a dot, and the node's number in the group."""
    role: str
    device_type: str
    is_host: bool
    state: NodeState
    started_at: datetime
    duration_s: float
    actions: tuple[ActionResult, ...] = ()
    runs: tuple[TestRun, ...] = ()
    error: VMGroupError | None = None
    """What ended the node early."""
    skipped: str | None = None
    """Why the node was skipped."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Facts found on the way, such as ``accelerator`` of a VM or ``host_ip``."""
    faults: tuple[SeenFault, ...] = ()
    """Faults that the node's console showed."""

    def count(self, outcome: Outcome) -> int:
        """How many test cases of this node had this outcome."""
        return sum(case.outcome is outcome for run in self.runs for case in run.cases)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One image that was put into the host's image store."""

    digest: str
    """SHA-256 of the content, in hex."""
    size: int
    """Bytes of the content, holes included."""
    bytes_sent: int
    """Bytes that crossed the network: holes are not sent, and 0 when the host had it already."""
    used_by: tuple[str, ...]
    """The nodes that use it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """The one result of a whole group."""

    job_name: str
    job_id: str
    target_group: str
    group_size: int
    started_at: datetime
    duration_s: float
    nodes: tuple[NodeResult, ...]
    """Host first, then the VMs in the order of the job.  The result of a sub-job has its own
    node, and with the number 0 those of all others too."""
    tags: tuple[str, ...] = ()
    """The job's own."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Settings of the job that the results of every node carry, such as ``logging_level``."""
    uploads: tuple[Upload, ...] = ()
    bundle_urls: tuple[str, ...] = ()
    """Where dashboards say that the results are which were submitted to them."""
    cause: VMGroupError | None = None
    """The error to report first, None when every node ran to its end."""
    exit_status: int

    def runs(self) -> Iterator[tuple[NodeResult, TestRun]]:
        """Every test run of every node, in order."""
        for node in self.nodes:
            for run in node.runs:
                yield node, run
