# SPDX-License-Identifier: MIT
"""Results on their way to a dashboard, over a real connection."""

import contextlib
import gzip
import queue
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from lava_vmgroup.base.errors import Canceled, ConfigurationError, InfrastructureError, VMGroupError
from lava_vmgroup.results.fold import exit_status_of
from lava_vmgroup.results.model import JobResult, NodeResult, NodeState
from lava_vmgroup.results.writers import write_all
from lava_vmgroup.runner.dashboard import Submission
from lava_vmgroup.runner.outputs import Outputs
from lava_vmgroup.runner.submission import submitted
from tests.support.bundles import assert_valid
from tests.support.dashboard import TOKEN, Dashboard, dashboard, self_signed

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


@pytest.fixture
def board() -> Iterator[Dashboard]:
    with dashboard() as state:
        yield state


def node(name: str, role: str) -> NodeResult:
    return NodeResult(
        name=name,
        sub_id="1.0",
        role=role,
        device_type="arndale",
        is_host=role == "host",
        state=NodeState.COMPLETE,
        started_at=NOW,
        duration_s=1.0,
    )


def result_of(*nodes: NodeResult, **more: Any) -> JobResult:
    fields: dict[str, Any] = {"cause": None, "exit_status": 0, **more}
    return JobResult(
        job_name="a group",
        job_id="1",
        target_group="group-uuid",
        group_size=len(nodes),
        started_at=NOW,
        duration_s=2.0,
        nodes=nodes,
        **fields,
    )


GROUP = result_of(node("board01", "host"), node("vm2", "server"), node("vm1", "client"))


def wish(node: str, server: str, token: str | None = TOKEN) -> Submission:
    return Submission(
        command="submit_results", node=node, server=server, stream="/anonymous/x/", token=token
    )


def send(
    wishes: list[Submission], output: Path, *, result: JobResult = GROUP, limit_s: float = 30.0
) -> JobResult:
    inbox: queue.SimpleQueue[NodeResult | VMGroupError | None] = queue.SimpleQueue()
    before = set(threading.enumerate())
    sent = submitted(result, wishes, Outputs(folder=output, announce=print), inbox, limit_s)
    assert set(threading.enumerate()) <= before
    return sent


def submit_errors(result: JobResult) -> list[str]:
    errors = [action.error for one in result.nodes for action in one.actions]
    return [error.describe() for error in errors if error is not None]


def roles(bundle: dict[str, Any]) -> list[str]:
    return [run["attributes"]["role"] for run in bundle["test_runs"]]


def test_group_is_published_as_one_bundle_by_its_host(board: Dashboard, tmp_path: Path) -> None:
    wishes = [wish(name, board.server) for name in ("board01", "vm2", "vm1")]

    result = send(wishes, tmp_path)

    assert board.calls == ["put_pending", "put_pending", "put_group"]
    assert set(board.streams) == {"/anonymous/x/"}
    (bundle,) = board.published
    assert_valid(bundle)
    assert roles(bundle) == ["server", "client", "host"]
    assert (result.exit_status, result.cause) == (0, None)
    assert [one.actions[-1].command for one in result.nodes] == ["submit_results"] * 3
    url = (tmp_path / "result-bundle").read_text()
    assert url == "http://localhost/bundles/1-a-group/"
    assert result.bundle_urls == (url,)


def test_group_whose_host_does_not_submit_is_published_too(
    board: Dashboard, tmp_path: Path
) -> None:
    send([wish("vm2", board.server), wish("vm1", board.server)], tmp_path)

    assert board.calls == ["put_pending", "put_group"]
    assert roles(board.published[0]) == ["server", "client"]
    assert not board.pending


def test_single_submitter_needs_no_group(board: Dashboard, tmp_path: Path) -> None:
    send([wish("board01", board.server)], tmp_path)

    assert board.calls == ["put_ex"]
    assert roles(board.published[0]) == ["host"]


def test_bundle_over_https_is_taken_from_who_trusts_the_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with dashboard(certificate) as board:
        result = send([wish(name, board.server) for name in ("board01", "vm1")], tmp_path)

        assert result.exit_status == 0, result.cause
        assert roles(board.published[0]) == ["client", "host"]


def test_self_signed_certificate_is_refused_and_sees_no_token(tmp_path: Path) -> None:
    with dashboard(self_signed(tmp_path)) as board:
        result = send([wish("vm1", board.server)], tmp_path)

    assert board.calls == []
    assert result.exit_status == 4
    assert "certificate verify failed" in str(result.cause)
    assert result.cause is not None
    assert "SSL_CERT_FILE" in (result.cause.hint or "")


def test_token_may_stand_in_the_url(board: Dashboard, tmp_path: Path) -> None:
    server = board.server.replace("@", f":{quote(TOKEN, safe='')}@")

    result = send([wish("board01", server, token=None)], tmp_path)

    assert result.exit_status == 0
    assert len(board.published) == 1


def test_nothing_to_submit_is_no_call(tmp_path: Path) -> None:
    assert send([], tmp_path) is GROUP


@pytest.mark.parametrize("in_url", [False, True])
def test_refused_token_is_an_error_that_does_not_tell_it(
    board: Dashboard, tmp_path: Path, caplog: pytest.LogCaptureFixture, in_url: bool
) -> None:
    wrong = "wr0ng/t0ken"
    server = board.server.replace("@", f":{quote(wrong, safe='')}@") if in_url else board.server

    result = send([wish("vm1", server, token=None if in_url else wrong)], tmp_path)
    write_all(result, tmp_path)

    assert isinstance(result.cause, InfrastructureError)
    assert result.exit_status == 4
    assert f"submitting the results to localhost:{board.port} failed" in str(result.cause)
    assert "HTTP status 401" in str(result.cause)
    texts = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(texts) >= 3
    for text in (*texts, *submit_errors(result), caplog.text):
        assert "t0ken" not in text
    assert not (tmp_path / "result-bundle").exists()


def test_token_that_the_server_repeats_is_masked(board: Dashboard, tmp_path: Path) -> None:
    board.fault = f"{TOKEN} may not write here"

    result = send([wish("vm1", board.server)], tmp_path)

    assert "fault 403: ******** may not write here" in str(result.cause)


def test_failure_does_not_hide_what_went_wrong_before(board: Dashboard, tmp_path: Path) -> None:
    board.fault = "no"
    before = ConfigurationError("the lab is wrong")
    ended = result_of(*GROUP.nodes, cause=before, exit_status=exit_status_of(before, []))

    result = send([wish("vm1", board.server)], tmp_path, result=ended)

    assert (result.cause, result.exit_status) == (before, 3)
    assert len(submit_errors(result)) == 1


def test_one_dashboard_that_fails_does_not_keep_results_from_another(
    board: Dashboard, tmp_path: Path
) -> None:
    with dashboard() as other:
        other.fault = "no"
        send([wish("vm1", other.server), wish("vm1", board.server)], tmp_path)

    assert len(board.published) == 1
    assert (tmp_path / "result-bundle").read_text()


def test_bug_in_a_bundle_does_not_cost_the_results(
    board: Dashboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("lava_vmgroup.results.writers.bundle.render_node", fail)

    result = send([wish("vm1", board.server)], tmp_path)

    assert result.exit_status == 70
    assert "ZeroDivisionError: oops" in str(result.cause)


def test_lost_connection_does_not_submit_twice(board: Dashboard, tmp_path: Path) -> None:
    board.drops = True

    result = send([wish("vm1", board.server)], tmp_path)

    assert board.calls == ["dropped"]
    assert result.exit_status == 4


def test_server_that_is_not_there_is_an_error(board: Dashboard, tmp_path: Path) -> None:
    with dashboard() as gone:
        server = gone.server

    result = send([wish("vm1", server)], tmp_path)

    assert "refused" in str(result.cause)
    assert result.exit_status == 4


def test_server_that_does_not_answer_is_given_up(board: Dashboard, tmp_path: Path) -> None:
    board.silent = threading.Event()

    result = send([wish("vm1", board.server)], tmp_path, limit_s=0.5)

    assert result.exit_status == 4
    assert "timed out" in str(result.cause)


def test_server_that_answers_for_ever_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("localhost", 0)) as server:

        def trickle() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Patience: ")
                while True:
                    connection.sendall(b"x")
                    time.sleep(0.05)

        thread = threading.Thread(target=trickle)
        thread.start()
        port = server.getsockname()[1]
        result = send([wish("vm1", f"http://me@localhost:{port}/RPC2/")], tmp_path, limit_s=0.5)
        thread.join()

    assert result.exit_status == 4
    assert "timed out: submitting the results, limit 0.5 s" in str(result.cause)


def test_cancel_ends_a_submission(board: Dashboard, tmp_path: Path) -> None:
    board.silent = threading.Event()
    inbox: queue.SimpleQueue[NodeResult | VMGroupError | None] = queue.SimpleQueue()

    def cancel() -> None:
        board.asked.wait()
        inbox.put(Canceled("canceled by SIGINT", signal_number=2))

    canceler = threading.Thread(target=cancel)
    canceler.start()
    result = submitted(
        GROUP, [wish("vm1", board.server)], Outputs(folder=tmp_path, announce=print), inbox, 3600.0
    )
    canceler.join()

    assert result.exit_status == 130


ANSWER = b"<methodResponse><params><param><value><string>" + b"x" * (32 << 20)


@pytest.mark.parametrize(
    ("headers", "body"),
    [("", ANSWER), ("Content-Encoding: gzip\r\n", gzip.compress(ANSWER))],
    ids=["plain", "gzip"],
)
def test_a_dashboard_that_answers_without_end_fills_no_memory(
    headers: str, body: bytes, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.settimeout(10)
                connection.recv(65536)
                head = f"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n{headers}\r\n"
                connection.sendall(head.encode())
                connection.sendall(body)

        thread = threading.Thread(target=answer)
        thread.start()
        tracemalloc.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/RPC2/"
        sent = send([wish("board01", url, token=None)], tmp_path)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        thread.join()

    assert isinstance(sent.cause, InfrastructureError)
    assert "submitting the results to 127.0.0.1" in sent.cause.message
    assert most < 16 << 20
