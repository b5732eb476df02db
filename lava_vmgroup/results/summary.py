# SPDX-License-Identifier: MIT
"""The summary for people when a job has ended: the nodes, the failures and their reasons."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from itertools import chain

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lava_vmgroup.base.errors import JobError, PeerFailed, VMGroupError
from lava_vmgroup.results.model import JobResult, NodeResult, NodeState, Outcome, TestCase
from lava_vmgroup.results.printable import one_line

_STATE_STYLES = {
    NodeState.COMPLETE: "green",
    NodeState.INCOMPLETE: "red",
    NodeState.CANCELED: "yellow",
    NodeState.SKIPPED: "yellow",
}
_ENDINGS = {
    0: "every node completed and no test failed",
    1: "every node completed, but tests failed",
    2: "the job must be changed",
    3: "the lab's configuration must be changed",
    4: "the lab's equipment failed",
    5: "a time limit passed",
    6: "the group did not work together",
    7: "a test broke its system or its test shell",
    70: "lava_vmgroup itself failed, please report it",
}
_LINES_SHOWN = 10
"""Console lines shown for the cause; the console's log has all of them."""


def render(result: JobResult, *, unwritten: Exception | None = None) -> RenderableType:
    """Return the nodes, the failed test cases, the errors and the exit status for the terminal.

    `unwritten` is the error, if any, that prevented the writing of a result file.  Then the
    summary ends with that error's exit status.  Terminal escapes and rich's markup in the text of
    tests and consoles have no effect.
    """
    parts = chain(
        [_nodes(result)],
        _failures(result),
        _skipped(result),
        _emulated(result),
        _faults(result),
        _errors(result),
        _urls(result),
        [_ending(result) if unwritten is None else _ending_without_files(result, unwritten)],
    )
    return Group(*parts)


def _nodes(result: JobResult) -> Table:
    outcomes = [Outcome.PASS, Outcome.FAIL, Outcome.SKIP]
    if any(node.count(Outcome.UNKNOWN) for node in result.nodes):
        outcomes.append(Outcome.UNKNOWN)
    shows_accelerator = any("accelerator" in node.attributes for node in result.nodes)
    table = Table()
    for heading in ("node", "role", "state", *(["accelerator"] if shows_accelerator else [])):
        table.add_column(heading, overflow="fold")
    for heading in (*(outcome.value for outcome in outcomes), "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for node in result.nodes:
        table.add_row(
            _plain(node.name),
            _plain(node.role),
            Text(node.state.value, _STATE_STYLES[node.state]),
            *([_accelerator(node)] if shows_accelerator else []),
            *(_count(node, outcome) for outcome in outcomes),
            Text(f"{node.duration_s:.1f}"),
        )
    return table


def _accelerator(node: NodeResult) -> Text:
    """Return one word for the accelerator of a VM; empty for the host."""
    name, _, _ = node.attributes.get("accelerator", "").partition(" ")
    return Text("emulated", "yellow") if name == "tcg" else _plain(name)


def _count(node: NodeResult, outcome: Outcome) -> Text:
    number = node.count(outcome)
    return Text(str(number), "red" if outcome is Outcome.FAIL and number else "")


def _failures(result: JobResult) -> Iterator[RenderableType]:
    failed = [
        (node.name, run.name, _case_name(case), _words(case))
        for node, run in result.runs()
        for case in run.cases
        if case.outcome is Outcome.FAIL
    ]
    if not failed:
        return
    table = Table(title=Text("failed test cases"), title_justify="left")
    for heading in ("node", "run", "case", "message"):
        table.add_column(heading, overflow="fold")
    for row in failed:
        table.add_row(*map(_plain, row))
    yield table


def _skipped(result: JobResult) -> Iterator[Text]:
    for node in result.nodes:
        if node.skipped is not None:
            yield Text.assemble(("skipped: ", "bold"), _plain(f"{node.name}: {node.skipped}"))


def _emulated(result: JobResult) -> Iterator[Text]:
    for node in result.nodes:
        if node.attributes.get("accelerator") == "tcg":
            reason = node.attributes.get("why_not_kvm", "")
            yield Text.assemble(("emulated: ", "bold"), _plain(f"{node.name}: {reason}"))


def _case_name(case: TestCase) -> str:
    return case.name if case.test_set is None else f"{case.test_set}: {case.name}"


def _words(case: TestCase) -> str:
    """Return a failed test case's measurement and the first line of its message."""
    measured = f"{case.measurement or ''} {case.units or ''}".strip()
    message, _, _ = (case.message or "").partition("\n")
    return ", ".join(filter(None, (measured, message)))


def _faults(result: JobResult) -> Iterator[RenderableType]:
    """Yield a table of the consoles' faults; equal ones share a row, as a kernel may repeat one."""
    counts = Counter(
        (node.name, fault.severity.value, fault.name, fault.test_case or "", fault.line)
        for node in result.nodes
        for fault in node.faults
    )
    if not counts:
        return
    table = Table(title=Text("on the consoles"), title_justify="left")
    for heading in ("node", "severity", "name", "test case", "line"):
        table.add_column(heading, overflow="fold")
    for row, count in counts.items():
        *cells, line = row
        table.add_row(
            *map(_plain, cells), _plain(line if count == 1 else f"{line} ({count} times)")
        )
    yield table


def _errors(result: JobResult) -> Iterator[RenderableType]:
    """Yield every error once: the cause, then the others, `PeerFailed` last."""
    places: dict[VMGroupError, str] = {}
    if result.cause is not None:
        places[result.cause] = ""
    for node in result.nodes:
        for error in (node.error, *(action.error for action in node.actions)):
            if error is not None:
                places[error] = node.name
    ordered = sorted(
        places, key=lambda error: (error is not result.cause, isinstance(error, PeerFailed))
    )
    for error in ordered:
        yield from _error(error, places[error], is_cause=error is result.cause)


def _error(error: VMGroupError, node: str, *, is_cause: bool) -> Iterator[Text]:
    heading = "cause" if is_cause else "then"
    parts = (error.node or node, error.action, type(error).__name__, error.message)
    words = ": ".join(part for part in parts if part)
    yield Text.assemble((f"{heading}: ", "bold red" if is_cause else "bold"), _plain(words))
    if isinstance(error, JobError):
        yield from (_plain(problem, indent="  - ") for problem in error.problems)
    if error.hint:
        yield _plain(error.hint, indent="  hint: ")
    if is_cause:
        for line in error.last_lines[-_LINES_SHOWN:]:
            yield _plain(line, indent="  | ")


def _urls(result: JobResult) -> Iterator[Text]:
    for url in result.bundle_urls:
        yield _plain(url, indent="results submitted: ")


def _ending(result: JobResult) -> Text:
    status = result.exit_status
    words = _complete_words(result) if status in (0, 1) else _ENDINGS.get(status)
    style = "bold red" if status else "bold green"
    if status == 0 and all(node.state is NodeState.SKIPPED for node in result.nodes):
        style = "bold yellow"
    if status == 0 and _number(result, Outcome.UNKNOWN):
        style = "bold yellow"
    ending = f"exit status {status} after {result.duration_s:.1f} s"
    return Text(f"{ending}: {words or _signal_words(status)}", style)


def _ending_without_files(result: JobResult, unwritten: Exception) -> Text:
    status = getattr(unwritten, "exit_status", VMGroupError.exit_status)
    ending = f"exit status {status} after {result.duration_s:.1f} s"
    return Text(f"{ending}: not all files of the results could be written", "bold red")


def _number(result: JobResult, outcome: Outcome) -> int:
    return sum(node.count(outcome) for node in result.nodes)


def _complete_words(result: JobResult) -> str:
    """Return the end of a job without an error in words, with the number of unknown results."""
    words = _verdict_words(result)
    unknown = _number(result, Outcome.UNKNOWN)
    if not unknown:
        return words
    conjunction = "and" if _number(result, Outcome.FAIL) else "but"
    results = "1 result is" if unknown == 1 else f"{unknown} results are"
    return f"{words}, {conjunction} {results} unknown"


def _verdict_words(result: JobResult) -> str:
    """Return the end of a job without an error in words, with the skipped nodes."""
    failed = bool(_number(result, Outcome.FAIL))
    skipped = sum(node.state is NodeState.SKIPPED for node in result.nodes)
    if skipped == len(result.nodes) and not failed:
        return "every node was skipped, nothing was tested"
    if skipped:
        tests = "tests failed" if failed else "no test failed"
        return f"{tests}, {skipped} of {len(result.nodes)} nodes were skipped"
    if failed and result.exit_status == 0:
        # A scheduler's sub-job that is complete exits with 0 even if tests failed.
        return "every node completed; tests failed, which does not count here"
    return _ENDINGS[result.exit_status]


def _signal_words(status: int) -> str:
    try:
        return f"canceled by {signal.Signals(status - 128).name}"
    except ValueError:
        return "the job failed"


def _plain(text: str, *, indent: str = "") -> Text:
    return Text(indent + one_line(text))
