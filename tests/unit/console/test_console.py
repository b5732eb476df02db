# SPDX-License-Identifier: MIT
import queue
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lava_vmgroup.base import user_pattern
from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import DeadlineExpired, InfrastructureError, JobError, PeerFailed
from lava_vmgroup.connections.stream import FdStream
from lava_vmgroup.console import console, inbox
from lava_vmgroup.console.console import LINE_LIMIT, Console
from lava_vmgroup.console.events import Line, Posted, Skipped
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.console.watch import Sighting, Watch
from tests.support.scripted import Scripted

SOON = 20.0
FLOOD = b"y\n" * 30_000


class Far:
    """A console and the far end of its stream."""

    def __init__(self, log: Path) -> None:
        near, self.end = socket.socketpair()
        self.log = log
        self.seen: queue.SimpleQueue[Sighting] = queue.SimpleQueue()
        self.watch = Watch(self.seen.put)
        self.console = Console(FdStream(near.detach()), Recorder(log), watch=self.watch)

    def says(self, data: bytes) -> None:
        self.end.sendall(data)


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Far]:
    far = Far(tmp_path / "console.log")
    with far.console:
        yield far
    far.end.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "console"]


def await_pumped() -> None:
    """Block until all that a console's stream says is in the inbox."""
    for thread in threading.enumerate():
        if thread.name == "console":
            thread.join(SOON)


def soon(token: CancelToken | None = None) -> Deadline:
    return Deadline.after("the test", SOON, token)


def test_expect_finds_a_pattern_that_comes_byte_by_byte(far: Far) -> None:
    def speak() -> None:
        for byte in b"U-Boot 2023\r\nHit any key to stop autoboot: 2":
            far.says(bytes([byte]))

    speaker = threading.Thread(target=speak)
    speaker.start()

    match = far.console.expect(["never", "Hit any key"], soon())

    speaker.join()
    assert (match.index, match.before) == (1, "U-Boot 2023\r\n")


def test_expect_finds_a_prompt_in_front_of_more_than_its_window(far: Far) -> None:
    far.says(b"=> " + b"x" * 20000 + b"!")

    assert far.console.expect(["=> "], soon()).before == ""
    assert len(far.console.expect(["!"], soon()).before) == 20000


def test_what_expect_leaves_is_read_as_lines_and_back(far: Far) -> None:
    far.says(b"login: first\r\nsecond\nunfinished")

    far.console.expect(["login: "], soon())

    assert far.console.next_event(soon()) == Line("first")
    assert far.console.next_event(soon()) == Line("second")
    far.says(b" prompt# ")
    assert far.console.expect(["prompt# "], soon()).before == "unfinished "


def test_torn_utf8_is_put_together(far: Far) -> None:
    for byte in "größe €\n".encode():
        far.says(bytes([byte]))

    assert far.console.next_event(soon()) == Line("größe €")


def test_broken_utf8_does_no_harm(far: Far) -> None:
    far.says(b"\xff\xfe ok\n")

    assert far.console.next_event(soon()) == Line("\ufffd\ufffd ok")


def test_line_without_end_is_delivered_in_pieces(far: Far) -> None:
    threading.Thread(target=far.says, args=(b"y" * (LINE_LIMIT + 5) + b"\n",)).start()

    assert far.console.next_event(soon()) == Line("y" * LINE_LIMIT)
    assert far.console.next_event(soon()) == Line("yyyyy")


def test_posted_item_comes_out_of_a_waiting_console(far: Far) -> None:
    threading.Timer(0.05, far.console.post, ["answer"]).start()

    assert far.console.next_event(soon()) == Posted("answer")


def test_item_posted_during_expect_is_kept_for_later(far: Far) -> None:
    far.console.post("answer")
    far.says(b"=> ")

    far.console.expect(["=> "], soon())

    assert far.console.next_event(soon()) == Posted("answer")


def test_time_out_names_the_wait_and_the_last_line(far: Far) -> None:
    far.says(b"Starting kernel ...\r\nUncompressing")
    far.console.expect(["Starting"], soon())

    with pytest.raises(DeadlineExpired, match="login prompt, limit 0.1 s; last seen: 'Uncompr"):
        far.console.expect(["login:"], Deadline.after("login prompt", 0.1))


def test_closed_console_is_an_infrastructure_error_with_last_lines(far: Far) -> None:
    far.says(b"one\ntwo\n")
    far.end.shutdown(socket.SHUT_RDWR)

    with pytest.raises(InfrastructureError, match="the console was closed") as caught:
        far.console.expect(["=> "], soon())
    assert caught.value.last_lines == ("one", "two")
    with pytest.raises(InfrastructureError):
        far.console.next_event(soon())


def test_results_that_came_before_the_end_can_still_be_read(far: Far) -> None:
    far.says(b"zero\none\ntwo\nunfinished")
    token = CancelToken()
    far.console.next_event(soon(token))
    token.cancel(PeerFailed("the host died"))
    with pytest.raises(PeerFailed):
        far.console.expect(["=> "], soon(token))

    assert list(far.console.unread_events(soon())) == [Line("one"), Line("two")]


def test_text_is_dropped_and_items_stay_when_the_time_to_read_them_is_up(tmp_path: Path) -> None:
    with Console(Scripted([FLOOD]), Recorder(tmp_path / "console.log")) as console:
        await_pumped()
        console.post("answer")

        late = list(console.unread_events(Deadline.after("unread text", 0.0)))

        assert late == [Skipped(len(FLOOD)), Posted("answer")]
        with pytest.raises(InfrastructureError, match="the console was closed"):
            console.next_event(soon())


@pytest.mark.parametrize("by_lines", [True, False])
def test_silent_console_ends_the_node_with_its_limit_and_last_line(
    far: Far, by_lines: bool
) -> None:
    token = CancelToken()
    far.watch.silence_s = 0.2
    far.says(b"about to hang\n")
    far.console.expect(["hang\n"], soon(token))

    with pytest.raises(DeadlineExpired, match="console_silence.*0.2 s; last seen: 'about to hang"):
        if by_lines:
            far.console.next_event(soon(token))
        else:
            far.console.expect(["=> "], soon(token))

    assert isinstance(token.reason, DeadlineExpired)


def test_console_may_be_silent_while_others_are_waited_for(far: Far) -> None:
    far.watch.silence_s = 0.1
    threading.Timer(0.4, far.says, [b"answered\n"]).start()

    assert far.console.next_event(soon(CancelToken()), may_be_silent=True) == Line("answered")


def test_console_is_watched_while_nobody_reads_it(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "LIMIT", 1 << 16)
    monkeypatch.setattr(inbox, "PATIENCE_S", 0.1)

    far.says(b"x" * (1 << 18) + b"\n[   12.345678] Kernel panic - not syncing: at last\n")
    far.says(b"[   12.345679] ---[ end Kernel panic - not syncing: at last ]---\n")

    assert far.seen.get(timeout=SOON).line == "Kernel panic - not syncing: at last"


@pytest.mark.parametrize("by_lines", [True, False])
def test_cancel_ends_any_wait_with_its_reason(far: Far, by_lines: bool) -> None:
    token = CancelToken()
    threading.Timer(0.05, token.cancel, [PeerFailed("the host died")]).start()

    with pytest.raises(PeerFailed, match="the host died"):
        if by_lines:
            far.console.next_event(soon(token))
        else:
            far.console.expect(["=> "], soon(token))


def test_cancel_does_not_wait_for_the_search_of_a_flood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, search = CancelToken(), user_pattern.UserPattern.search

    def canceling(pattern: user_pattern.UserPattern, text: str, *at: int) -> object:
        token.cancel(PeerFailed("the host died"))
        return search(pattern, text, *at)

    monkeypatch.setattr(user_pattern.UserPattern, "search", canceling)
    with Console(Scripted([FLOOD, FLOOD, b"=> "]), Recorder(tmp_path / "console.log")) as console:
        await_pumped()

        with pytest.raises(PeerFailed, match="the host died"):
            console.expect(["=> "], soon(token))


def test_every_byte_is_recorded_as_it_came(far: Far) -> None:
    far.says(b"raw \x00\xff\x1b[31m bytes\r\n=> ")
    far.console.expect(["=> "], soon())

    assert far.log.read_bytes() == b"raw \x00\xff\x1b[31m bytes\r\n=> "


def test_a_flood_in_front_of_a_prompt_is_kept_as_far_as_there_is_room(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "BEFORE_LIMIT", 10_000)

    def speak() -> None:
        for number in range(5000):
            far.says(b"line %05d\r\n" % number)
        far.says(b"prompt# ")

    speaker = threading.Thread(target=speak)
    speaker.start()
    before = far.console.expect(["prompt# "], soon()).before
    speaker.join()

    assert 10_000 < len(before) < 30_000
    assert before.endswith("line 04998\r\nline 04999\r\n")


def test_a_message_shows_the_beginning_of_a_line_without_end(far: Far) -> None:
    far.says(b"begin" + b"x" * 30_000)
    far.end.close()

    with pytest.raises(InfrastructureError) as caught:
        far.console.next_event(soon())

    (line,) = caught.value.last_lines
    assert line.startswith("beginxxx")
    assert len(line) == 500


def test_a_prompt_that_takes_for_ever_to_match_ends_the_wait(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_pattern, "MATCH_S", 0.05)
    far.says(b"a" * 26 + b" b")

    with pytest.raises(JobError, match="takes too long on a text of the console"):
        far.console.expect(["(a|a)*b"], soon())
