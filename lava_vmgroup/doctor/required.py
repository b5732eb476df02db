# SPDX-License-Identifier: MIT
"""The words of ``requires`` that a host has, and those of a job that it lacks."""

from __future__ import annotations

import json
from collections.abc import Sequence

from lava_vmgroup.base.findings import Finding, Severity
from lava_vmgroup.config.lab import Lab
from lava_vmgroup.job.model import NodeJob, RequiresPolicy
from lava_vmgroup.vms.facts import HostFacts
from lava_vmgroup.vms.requires import described, lacked_by, offered


def required(
    nodes: Sequence[NodeJob], lab: Lab, facts: HostFacts
) -> tuple[list[Finding], list[NodeJob]]:
    """Compare the nodes' ``requires`` with the host's facts.

    Return the findings, and the nodes that would not run: all, if the host lacks something itself.
    """
    words = ", ".join(map(json.dumps, offered(facts)))
    findings = [Finding(what="has", found=f"in the words of requires: {words}")]
    out: list[NodeJob] = []
    for node in nodes:
        if not node.requires:
            continue
        what = f"required for {node.role}"
        missing = lacked_by(node, lab, facts)
        if not missing:
            met = ", ".join(map(str, node.requires))
            findings.append(Finding(what=what, found=f"{met}: the host has it"))
            continue
        skipping = node.requires_policy is RequiresPolicy.SKIP
        skipped = "the whole group" if node.is_host else node.role
        ending = f": {skipped} will be skipped" if skipping else ""
        findings.append(
            Finding(
                what=what,
                severity=Severity.DEGRADED if skipping else Severity.MISSING,
                found=f"{described(missing)}{ending}",
                remedy="use a host that has it",
            )
        )
        if node.is_host:
            return findings, list(nodes)
        out.append(node)
    return findings, out
