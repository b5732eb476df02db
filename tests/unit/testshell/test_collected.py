# SPDX-License-Identifier: MIT
"""Reading what a node packed: LAVA's layout, and hostile archives."""

from __future__ import annotations

import io
import tarfile

import pytest

from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.results.model import HardwareDevice
from lava_vmgroup.testshell import collected, contexts
from lava_vmgroup.testshell.collected import Collected, read_results

RUN = "0_uuid-0-1700000000"


def packed(files: dict[str, bytes], **mtimes: int) -> bytes:
    """A tar of these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mtime = mtimes.get(name.split("/")[-2] if "/" in name else name, 1)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def test_nothing_is_read_as_nothing() -> None:
    assert read_results(b"") == Collected(runs={})


def test_cases_come_in_the_order_of_their_files_times() -> None:
    archive = packed(
        {
            f"{RUN}/results/late/result": b"pass\n",
            f"{RUN}/results/early/result": b"fail\n",
            f"{RUN}/results/early/message": b"too bad\n",
        },
        late=20,
        early=10,
    )

    cases = read_results(archive).runs["uuid-0"].cases

    assert list(cases) == ["early", "late"]
    assert (cases["early"].reported, cases["early"].details.message) == ("fail", "too bad")


def test_attachments_alone_are_no_result() -> None:
    archive = packed({f"{RUN}/results/a/attachments/x.png": b"png"})

    case = read_results(archive).runs["uuid-0"].cases["a"]

    assert case.reported is None
    assert [(one.pathname, one.mime_type) for one in case.attachments] == [("x.png", "image/png")]


def test_several_archives_one_after_the_other_are_one() -> None:
    first = packed({f"{RUN}/return_code": b"0\n"})
    second = packed({"1_uuid-1-1700000000/return_code": b"1\n"})

    assert read_results(first + second).runs.keys() == {"uuid-0", "uuid-1"}


def test_what_is_no_ordinary_file_inside_is_ignored() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, kind in (
            (f"{RUN}/attachments/link", tarfile.SYMTYPE),
            (f"{RUN}/attachments/hard", tarfile.LNKTYPE),
            (f"{RUN}/attachments/device", tarfile.CHRTYPE),
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "/etc/passwd"
            tar.addfile(entry)
        for name in (f"../{RUN}/stdout.log", f"/{RUN}/stdout.log", "strange/stdout.log"):
            tar.addfile(tarfile.TarInfo(name))

    assert read_results(buffer.getvalue()).runs == {}


def test_a_torn_archive_gives_what_is_whole() -> None:
    archive = packed({f"{RUN}/return_code": b"0\n", f"{RUN}/stdout.log": bytes(9000)})

    found = read_results(archive[:5000])

    assert [one.pathname for one in found.runs["uuid-0"].attachments] == ["return_code"]
    assert found.problems


def test_a_member_that_claims_to_be_huge_costs_nothing() -> None:
    entry = tarfile.TarInfo(f"{RUN}/stdout.log")
    entry.size = 1 << 40
    archive = entry.tobuf(tarfile.GNU_FORMAT) + bytes(10240)

    found = read_results(archive)

    assert found.runs == {}
    assert found.problems == ("the collected files cannot be read: unexpected end of data",)


def test_too_many_members_are_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collected, "MAX_MEMBERS", 2)
    archive = packed({f"{RUN}/attachments/{number}": b"" for number in range(5)})

    found = read_results(archive)

    assert len(found.runs["uuid-0"].attachments) == 2
    assert found.problems == ("only the first 2 files were collected",)


def test_garbage_is_a_problem_and_no_error() -> None:
    found = read_results(b"\xff" * 5000)

    assert found.runs == {}


def test_metadata_that_are_no_yaml_are_ignored() -> None:
    archive = packed({f"{RUN}/extra_metadata": b"a: [", f"{RUN}/return_code": b"0\n"})

    assert read_results(archive).runs["uuid-0"].metadata == {}


def test_metadata_are_plain_values() -> None:
    laughs = b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\nplain: 1\n"
    archive = packed({f"{RUN}/extra_metadata": laughs})

    assert read_results(archive).runs["uuid-0"].metadata == {"plain": "1"}


X86 = """\
processor\t: 0
model name\t: Some CPU
flags\t\t: fpu vme

processor\t: 1
model name\t: Some CPU

"""
ARM = """\
processor\t: 0
model name\t: ARMv7 Processor rev 4 (v7l)

Hardware\t: ARNDALE
Revision\t: 0000
"""
MEMORY = "MemTotal:        2048000 kB\nMemFree:         1 kB\n"


def test_processors_and_memory_are_told() -> None:
    devices = list(contexts.hardware(X86, MEMORY, ""))

    assert devices == [
        HardwareDevice(
            device_type="device.cpu",
            description="Processor #0",
            attributes={"processor": "0", "model name": "Some CPU", "flags": "fpu vme"},
        ),
        HardwareDevice(
            device_type="device.cpu",
            description="Processor #1",
            attributes={"processor": "1", "model name": "Some CPU"},
        ),
        HardwareDevice(
            device_type="device.mem",
            description="2000 MiB of RAM",
            attributes={"MemTotal": "2048000 kB", "MemFree": "1 kB"},
        ),
    ]


@pytest.mark.parametrize(
    ("name", "description"), [("", "ARNDALE"), ("Arndale Octa\n", "Arndale Octa")]
)
def test_the_board_is_told(name: str, description: str) -> None:
    devices = list(contexts.hardware(ARM, "", name))

    assert [device.device_type for device in devices] == ["device.cpu", "device.board"]
    assert devices[1].description == description
    assert devices[1].attributes == {"Hardware": "ARNDALE", "Revision": "0000"}


def test_nothing_known_is_nothing_told() -> None:
    assert list(contexts.hardware("", "", "")) == []


def test_numbers_of_any_length_in_what_a_system_says_of_itself_are_left_alone() -> None:
    devices = list(contexts.hardware("", f"MemTotal: {'9' * 5000} kB\n", ""))

    assert devices == []


def test_what_a_system_says_of_itself_is_looked_at_up_to_a_limit() -> None:
    text = b"".join(b"package: p%d : 1.0\n" % number for number in range(200_000))
    archive = packed({f"{RUN}/swcontext/pkgs.txt": text})

    packages = read_results(archive).runs["uuid-0"].packages

    assert len(text) > 3 << 20
    assert packages[:2] == (("p0", "1.0"), ("p1", "1.0"))
    assert 40_000 < len(packages) < 70_000


@pytest.mark.parametrize(
    ("said", "size"),
    [("warning: x\n12345\n", 12345), ("9" * 15, collected.MAX_BYTES)],
)
def test_the_announced_size_of_results_is_believed_up_to_a_limit(said: str, size: int) -> None:
    assert collected.size_to_fetch(said) == size


@pytest.mark.parametrize("said", ["", "\n", "-1", "1e9", "9" * 5000, "\u00b2"])
def test_a_size_of_results_that_is_no_number_is_refused(said: str) -> None:
    with pytest.raises(InfrastructureError, match="size of the packed results is no number"):
        collected.size_to_fetch(said)
