# SPDX-License-Identifier: MIT
"""The ways of ``lava-dispatch`` with a job: expand it, check it, or run it."""

from __future__ import annotations

import argparse
import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from lava_vmgroup import actions
from lava_vmgroup.base.errors import (
    Canceled,
    ConfigurationError,
    DeviceInUse,
    JobError,
)
from lava_vmgroup.cli import output_txt
from lava_vmgroup.cli.arguments import OUTPUT
from lava_vmgroup.cli.devices import given_device, host_device
from lava_vmgroup.cli.expansion import write_expansion
from lava_vmgroup.cli.inside_lava import harmless, refusals_told, settle
from lava_vmgroup.cli.output import print_document
from lava_vmgroup.cli.output_folder import discard_unused_results
from lava_vmgroup.config import files
from lava_vmgroup.config.coordinator import Endpoint, find_coordinator_config
from lava_vmgroup.config.dispatcher import load_dispatcher
from lava_vmgroup.config.inventory import backend_type
from lava_vmgroup.config.lab import Lab
from lava_vmgroup.job import expand, load_document, parse_job, to_document
from lava_vmgroup.job.model import Job, VMGroup
from lava_vmgroup.job.sub_job import Assignment, is_sub_job, parse_sub_job
from lava_vmgroup.runner.admission import admit_job, admit_sub_job

Limited = TypeVar("Limited", Job, VMGroup)


def dispatch(options: argparse.Namespace) -> int:
    """Do what the command line says, and return the exit status."""
    settle(options)
    with refusals_told(options):
        return _dispatch(options)


def _dispatch(options: argparse.Namespace) -> int:
    if not (options.dry_run or options.validate or options.expand_to):
        discard_unused_results(options.output_dir or OUTPUT)
    schemas = actions.parameter_schemas()
    document = load_document(options.job, schemas)
    folder = options.job.resolve().parent
    if is_sub_job(document):
        try:
            return _dispatch_sub_job(document, folder, options)
        except (ConfigurationError, DeviceInUse, Canceled) as error:
            output_txt.add_refusal(options.output_dir or OUTPUT, error)
            raise
    job = _limited(parse_job(document, folder, schemas), options)
    group = expand(job, job_id=options.job_id or "0", target_group=str(uuid.uuid4()))
    if options.dry_run:
        documents = [to_document(group, node) for node in group.nodes]
        # Inside LAVA, no text may look like one of its markers.
        print_document(json.dumps(documents, indent=2).replace("<LAVA_", "\\u003cLAVA_") + "\n")
        return 0
    if options.expand_to is not None:
        write_expansion(group, options)
        return 0
    search_path = files.search_path(options.config_dir)
    given = given_device(options, search_path, job.host.device_type)
    admit_job(job, search_path, given)
    if options.validate:
        print_document(harmless(f"{options.job}: valid, {len(group.nodes)} nodes\n"))
        return 0
    device = host_device(job.host.device_type, search_path, options, options.target, given)
    lab = Lab(device=device, dispatcher=load_dispatcher(search_path), search_path=search_path)
    return _run_group(group, lab, None, options)


def _dispatch_sub_job(document: Any, folder: Path, options: argparse.Namespace) -> int:
    if options.dry_run or options.expand_to is not None:
        raise JobError(f"{options.job} is a sub-job already", hint="give the whole job")
    is_host = document.get("is_vmhost") is True
    backend = None if is_host or options.config is None else backend_type(options.config)
    assignment = Assignment(target=options.target, backend=backend)
    if options.target_group is not None:
        document = {**document, "target_group": options.target_group}
    group = parse_sub_job(document, folder, actions.parameter_schemas(), assignment)
    [node] = group.nodes
    search_path = files.search_path(options.config_dir)
    group = _limited(group, options)
    given = given_device(options, search_path, node.device_type) if is_host else None
    admit_sub_job(group, search_path, given)
    if options.validate:
        print_document(harmless(f"{options.job}: valid, 1 node of {group.size}\n"))
        return 0
    device = None
    if is_host:
        device = host_device(node.device_type, search_path, options, node.target, given)
    lab = Lab(
        device=device,
        dispatcher=load_dispatcher(search_path),
        search_path=search_path,
        vm_config=None if is_host else options.config,
    )
    coordinator = find_coordinator_config(options.coordinator, search_path).endpoint()
    return _run_group(group, lab, coordinator, options)


def _limited(job: Limited, options: argparse.Namespace) -> Limited:
    """Return a job or a group that takes no longer than ``--time-limit`` allows."""
    limit_s = min(job.settings.timeout_s, options.time_limit)
    return replace(job, settings=replace(job.settings, timeout_s=limit_s))


def _run_group(
    group: VMGroup, lab: Lab, coordinator: Endpoint | None, options: argparse.Namespace
) -> int:
    # A check of a job needs nothing of what a run imports.
    from lava_vmgroup.cli.run import run

    return run(group, lab, coordinator, options)
