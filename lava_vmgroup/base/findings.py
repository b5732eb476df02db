# SPDX-License-Identifier: MIT
"""Findings: the results of checks of a host or of the dispatcher's machine."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from lava_vmgroup.base.errors import InfrastructureError, Unfit, VMGroupError


class Severity(enum.Enum):
    """The effect of a finding on the job."""

    OK = "ok"
    DEGRADED = "degraded"
    """The job runs, but slowly or with less."""
    MISSING = "missing"
    """The job cannot run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check."""

    what: str
    """The name of the thing that was checked."""
    severity: Severity = Severity.OK
    found: str
    """The state of the thing, or a message that it is missing."""
    remedy: str | None = None
    """The advice to the user if the severity is not `Severity.OK`."""
    exit_status: int = InfrastructureError.exit_status
    """The exit status of ``lava-dispatch`` if the thing is missing."""


def failure(what: str, error: VMGroupError) -> Finding:
    """Return the finding for a check of `what` that raised `error`."""
    return Finding(
        what=what,
        severity=Severity.MISSING,
        found=error.message,
        remedy=error.hint,
        exit_status=error.exit_status,
    )


def refuse(findings: Iterable[Finding]) -> None:
    """Raise `Unfit` if any finding is `Severity.MISSING`; the error names all of these."""
    missing = [one for one in findings if one.severity is Severity.MISSING]
    if missing:
        remedies = dict.fromkeys(one.remedy for one in missing if one.remedy)
        raise Unfit("; ".join(one.found for one in missing), hint="; ".join(remedies) or None)
