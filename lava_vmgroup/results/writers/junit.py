# SPDX-License-Identifier: MIT
"""JUnit XML, for continuous integration systems.

- Each run of each node is a test suite ``<node>.<run>``.  The suite ``<node>.lava`` has the node's
  actions.
- The verdict ``fail`` is a failure, and ``skip`` is skipped.  ``unknown`` is an error: the test
  gave no verdict, and a green report would hide that.
- An action that failed is an error.  If a node did not complete for another reason, or was skipped,
  its suite has a test case ``job_complete`` with the reason.
- If no node has the job's cause, the suite ``lava`` has it, in a test case ``job_complete``.
- The classname of a test case is its suite, followed by its test set if it has one.
- Measurement, units and reference are properties of a test case.  So is each attachment, with the
  file's path below the output directory.
- A fault on a node's console is a property ``console-<name>`` of the suite with its actions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

from lava_vmgroup.base.errors import JobError, VMGroupError
from lava_vmgroup.results import writers
from lava_vmgroup.results.attachments import Placed, PlacedRun, placed_runs
from lava_vmgroup.results.model import (
    ActionResult,
    JobResult,
    NodeResult,
    NodeState,
    Outcome,
    TestCase,
    TestRun,
)
from lava_vmgroup.results.printable import one_line, printable

FILE = "junit.xml"
_COUNTED = {"failures": "failure", "errors": "error", "skipped": "skipped"}
"""The attributes of a suite, each with the element that it counts."""


def write(result: JobResult, folder: Path) -> list[Path]:
    """Write ``junit.xml`` to `folder`; return its path.

    Raises `InfrastructureError` if the file cannot be written.
    """
    return [writers.replace_file(folder / FILE, render(result))]


def render(result: JobResult) -> str:
    """Return the report as XML text; characters that XML 1.0 does not allow are replaced."""
    root = _element("testsuites", name=result.job_name)
    for node in result.nodes:
        root.extend(_run_suite(node, placed) for placed in placed_runs(node))
        root.append(_node_suite(node))
    if result.cause is not None and result.cause not in _errors_of_nodes(result):
        suite = _element("testsuite", name="lava", timestamp=_timestamp(result.started_at))
        suite.append(_error_case("lava", result.cause))
        root.append(_counted(suite, result.duration_s))
    _counted(root, result.duration_s)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(root, "unicode")}\n'


def _run_suite(node: NodeResult, placed: PlacedRun) -> ElementTree.Element:
    run = placed.run
    name = f"{node.name}.{run.name}"
    facts = _facts_of_run(run)
    facts += [("attachment", one.path) for one in placed.attachments]
    suite = _suite(name, node, run.started_at, facts)
    previous = run.started_at
    for case, attachments in zip(run.cases, placed.cases, strict=True):
        # A test shell runs its cases one after the other, so a case took the time since the last.
        seconds = max(0.0, (case.recorded_at - previous).total_seconds())
        suite.append(_test_case(name, case, seconds, attachments))
        previous = case.recorded_at
    return _counted(suite, run.duration_s)


def _node_suite(node: NodeResult) -> ElementTree.Element:
    name = f"{node.name}.lava"
    found = [(f"console-{fault.name}", fault.line) for fault in node.faults]
    suite = _suite(name, node, node.started_at, found)
    suite.extend(_action_case(name, action) for action in node.actions)
    failures = [action.error for action in node.actions if action.error is not None]
    if node.error is not None and node.error not in failures:
        suite.append(_error_case(name, node.error))
    elif node.skipped is not None:
        skipped = _element("testcase", classname=name, name="job_complete", time=_seconds(0))
        skipped.append(_element("skipped", message=one_line(node.skipped)))
        suite.append(skipped)
    elif node.state is not NodeState.COMPLETE and not failures:
        suite.append(_error_case(name, VMGroupError(f"the node ended {node.state.value}")))
    return _counted(suite, node.duration_s)


def _errors_of_nodes(result: JobResult) -> Iterator[VMGroupError | None]:
    for node in result.nodes:
        yield node.error
        yield from (action.error for action in node.actions)


def _suite(
    name: str, node: NodeResult, started_at: datetime, more: Iterable[tuple[str, str]]
) -> ElementTree.Element:
    suite = _element("testsuite", name=name, hostname=node.name, timestamp=_timestamp(started_at))
    facts = {"role": node.role, "device_type": node.device_type, "state": node.state.value}
    suite.append(_properties([*{**facts, **node.attributes}.items(), *more]))
    return suite


def _facts_of_run(run: TestRun) -> list[tuple[str, str]]:
    facts = [] if run.finished else [("finished", "false")]
    if run.missing_records:
        facts.append(("missing_records", str(run.missing_records)))
    if run.software.image is not None:
        facts.append(("image", run.software.image))
    for source in run.software.sources:
        facts.append(
            ("source", f"{source.branch_vcs} {source.branch_url} {source.branch_revision}")
        )
    return facts


def _test_case(
    suite: str, case: TestCase, seconds: float, attachments: Sequence[Placed]
) -> ElementTree.Element:
    classname = suite if case.test_set is None else f"{suite}.{case.test_set}"
    element = _element("testcase", classname=classname, name=case.name, time=_seconds(seconds))
    facts = _facts_of_case(case)
    facts += [("attachment", one.path) for one in attachments]
    if facts:
        element.append(_properties(facts))
    message = case.message or ""
    if case.outcome is Outcome.FAIL:
        element.append(_verdict("failure", message or "the test failed"))
    elif case.outcome is Outcome.SKIP:
        element.append(_element("skipped", message=one_line(message)))
    elif case.outcome is Outcome.UNKNOWN:
        message = message or "the test's verdict is unknown"
        element.append(_verdict("error", message, type="unknown"))
    elif message:
        output = _element("system-out")
        output.text = printable(message)
        element.append(output)
    return element


def _facts_of_case(case: TestCase) -> list[tuple[str, str]]:
    facts = []
    if case.measurement is not None:
        facts.append(("measurement", case.measurement))
        if case.units is not None:
            facts.append(("units", case.units))
    if case.reference is not None:
        facts.append(("reference", case.reference))
    return facts


def _action_case(suite: str, action: ActionResult) -> ElementTree.Element:
    element = _element(
        "testcase", classname=suite, name=action.command, time=_seconds(action.duration_s)
    )
    if action.error is not None:
        element.append(_error(action.error))
    return element


def _error_case(suite: str, error: VMGroupError) -> ElementTree.Element:
    element = _element("testcase", classname=suite, name="job_complete", time=_seconds(0))
    element.append(_error(error))
    return element


def _error(error: VMGroupError) -> ElementTree.Element:
    """Return an ``error`` element with all details, for a reader who has only the report."""
    kind = type(error).__name__
    lines = [f"{kind}: {error.message}"]
    if isinstance(error, JobError):
        lines += [f"  {problem}" for problem in error.problems]
    if error.node:
        lines.append(f"node: {error.node}")
    if error.action:
        lines.append(f"action: {error.action}")
    if error.hint:
        lines.append(f"hint: {error.hint}")
    if error.last_lines:
        lines += ["last lines of the console:", *(f"  {line}" for line in error.last_lines)]
    element = _verdict("error", error.message, type=kind)
    element.text = printable("\n".join(lines))
    return element


def _verdict(tag: str, message: str, **attributes: str) -> ElementTree.Element:
    """Return an element with the message as its text and the first line as its attribute.

    Some readers of JUnit show the one, some the other.
    """
    first, _, _ = message.partition("\n")
    element = _element(tag, message=one_line(first), **attributes)
    element.text = printable(message)
    return element


def _properties(values: Iterable[tuple[str, str]]) -> ElementTree.Element:
    element = _element("properties")
    element.extend(_element("property", name=name, value=value) for name, value in values)
    return element


def _counted(element: ElementTree.Element, seconds: float) -> ElementTree.Element:
    """Set the counts of test cases and the time of a suite or of the whole report; return it."""
    element.set("tests", str(sum(1 for _ in element.iter("testcase"))))
    for attribute, tag in _COUNTED.items():
        element.set(attribute, str(sum(1 for _ in element.iter(tag))))
    element.set("time", _seconds(seconds))
    return element


def _element(tag: str, **attributes: str) -> ElementTree.Element:
    return ElementTree.Element(
        tag, {name: printable(str(value)) for name, value in attributes.items()}
    )


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}"
