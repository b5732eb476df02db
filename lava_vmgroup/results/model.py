# SPDX-License-Identifier: MIT
"""The results of a job as values: test cases in runs, runs in nodes, nodes in one job.

`lava_vmgroup.results.writers` has one module for each file format.
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
    """The end of a node's part of the job."""

    COMPLETE = "Complete"
    INCOMPLETE = "Incomplete"
    CANCELED = "Canceled"
    SKIPPED = "Skipped"
    """The host lacked something for the node, such as the room for an optional VM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that a test left beside its results."""

    pathname: str
    """The relative path that the test gave."""
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
    """The origin of the files of a test definition."""

    project_name: str
    branch_vcs: str
    """``bzr``, ``git``, ``svn``, ``tar`` or ``url``."""
    branch_url: str
    branch_revision: str
    default_params: Mapping[str, str] = field(default_factory=dict)
    test_params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftwareContext:
    """The software on the node during a test run."""

    image: str | None = None
    """The operating system in one line."""
    packages: tuple[tuple[str, str], ...] = ()
    """Name and version of each installed package."""
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
    """The URL from ``lava-test-reference``."""
    attachments: tuple[Attachment, ...] = ()
    recorded_at: datetime
    """The time, in UTC."""


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
    """False if the run never reported its end, after a time-out or the death of its system."""
    missing_records: int = 0
    """The number of records of the run, such as results, that are known to be lost on the way.
    A lost record does not mean that its test failed."""
    attachments: tuple[Attachment, ...] = ()
    hardware: tuple[HardwareDevice, ...] = ()
    software: SoftwareContext = field(default_factory=SoftwareContext)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionResult:
    """The result of one action of the job on one node."""

    command: str
    duration_s: float
    started_at: datetime
    error: VMGroupError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeResult:
    """The result of one node."""

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
    """The error that ended the node early."""
    skipped: str | None = None
    """The reason if the node was skipped."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Facts found during the job, such as ``accelerator`` of a VM or ``host_ip``."""
    faults: tuple[SeenFault, ...] = ()
    """Faults that the node's console showed."""

    def count(self, outcome: Outcome) -> int:
        """Return the number of test cases of this node with this outcome."""
        return sum(case.outcome is outcome for run in self.runs for case in run.cases)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One image that was put into the host's image store."""

    digest: str
    """SHA-256 of the content, in hex."""
    size: int
    """Bytes of the content, holes included."""
    bytes_sent: int
    """Bytes that crossed the network, without holes; 0 if the host had the image already."""
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
    """The host first, then the VMs in the order of the job.  The result of a sub-job has only its
    own node, but the sub-job with the number 0 has all of them."""
    tags: tuple[str, ...] = ()
    """The job's own tags."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Settings of the job that the results of every node carry, such as ``logging_level``."""
    uploads: tuple[Upload, ...] = ()
    bundle_urls: tuple[str, ...] = ()
    """The URLs that dashboards returned for the submitted results."""
    cause: VMGroupError | None = None
    """The error to report first; None if every node ran to its end."""
    exit_status: int

    def runs(self) -> Iterator[tuple[NodeResult, TestRun]]:
        """Yield every test run of every node, in order, with its node."""
        for node in self.nodes:
            for run in node.runs:
                yield node, run
