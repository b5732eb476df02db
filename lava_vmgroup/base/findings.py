# SPDX-License-Identifier: MIT
"""What a look at a host, or at the dispatcher, has brought to light."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from lava_vmgroup.base.errors import InfrastructureError, Unfit, VMGroupError


class Severity(enum.Enum):
    """What a finding means for the job."""

    OK = "ok"
    DEGRADED = "degraded"
    """The job runs, but slowly or with less."""
    MISSING = "missing"
    """The job cannot run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    what: str
    severity: Severity = Severity.OK
    found: str
    """What is there, or what is not."""
    remedy: str | None = None
    """What to do, unless all is well."""
    exit_status: int = InfrastructureError.exit_status
    """What ``lava-dispatch`` ends with when it is missing."""


def failure(what: str, error: VMGroupError) -> Finding:
    """The finding that looking at something ended with an error."""
    return Finding(
        what=what,
        severity=Severity.MISSING,
        found=error.message,
        remedy=error.hint,
        exit_status=error.exit_status,
    )


def refuse(findings: Iterable[Finding]) -> None:
    """Raise an `Unfit` that says all that is missing, if anything is."""
    missing = [one for one in findings if one.severity is Severity.MISSING]
    if missing:
        remedies = dict.fromkeys(one.remedy for one in missing if one.remedy)
        raise Unfit("; ".join(one.found for one in missing), hint="; ".join(remedies) or None)
