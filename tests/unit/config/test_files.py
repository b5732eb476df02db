# SPDX-License-Identifier: MIT
from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.config import files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def layers_of(folder: Path, *texts: str, defaults: dict[str, str] | None = None) -> files.Layers:
    layers = files.Layers(defaults)
    for number, text in enumerate(texts):
        file = folder / f"{number}.conf"
        file.write_text(text, encoding="utf-8")
        assert layers.read(file)
    return layers


def test_search_path_goes_from_the_package_to_the_system_to_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)

    shipped, system, user = files.search_path()

    assert (shipped / "device-defaults.conf").is_file()
    assert system == Path("/etc/lava-dispatcher")
    assert user == tmp_path / ".config/lava-dispatcher"


def test_search_path_of_a_virtual_environment_has_its_own_system_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path))

    assert files.search_path()[1] == tmp_path / "etc/lava-dispatcher"


def test_config_dir_replaces_the_system_and_the_user(tmp_path: Path) -> None:
    path = files.search_path(tmp_path)

    assert path[1:] == (tmp_path,)
    assert (path[0] / "device-defaults.conf").is_file()


def test_config_dir_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        files.search_path(tmp_path / "nowhere")


def test_same_file_in_a_later_folder_wins_key_by_key(tmp_path: Path) -> None:
    for name, text in (("low", "a = 1\nb = 1\n"), ("high", "b = 2\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.conf").write_text(text)
    layers = files.Layers()

    assert layers.read_all("x.conf", (tmp_path / "low", tmp_path / "high"))

    assert (layers.get("a"), layers.get("b")) == ("1", "2")
    assert layers.source("a") == tmp_path / "low/x.conf"
    assert layers.source("b") == tmp_path / "high/x.conf"
    assert not layers.read_all("y.conf", (tmp_path,))


def test_keys_are_case_insensitive_and_values_go_on_over_lines(folder: Path) -> None:
    layers = layers_of(folder, "Boot_Cmds =\n    one,\n    two\nnext: x\n")

    assert layers.get("boot_cmds").split() == ["one,", "two"]
    assert layers.keys() == ["boot_cmds", "next"]


def test_semicolon_and_hash_in_a_value_are_no_comment(folder: Path) -> None:
    layers = layers_of(folder, "# comment\n; comment\na = off ; on # now\n")

    assert layers.get("a") == "off ; on # now"


def test_interpolation_uses_the_winning_layer(folder: Path) -> None:
    layers = layers_of(
        folder,
        "connect = telnet %(console)s %(PORT)s\nconsole = nowhere\n",
        "console = %(rack)s-console\nrack = r7\n",
        defaults={"port": "7001"},
    )

    assert layers.get("connect") == "telnet r7-console 7001"


def test_double_percent_is_a_percent_sign(folder: Path) -> None:
    assert layers_of(folder, "a = date +%%s\n").get("a") == "date +%s"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a = %(gone)s\n", r"%\(gone\)s, which is not set"),
        ("a = secret%word\n", "% that starts no"),
        ("a = %(b)s\nb = %(a)s\n", "refers to itself"),
    ],
)
def test_broken_reference_names_file_and_key(folder: Path, text: str, part: str) -> None:
    layers = layers_of(folder, text)

    with pytest.raises(ConfigurationError, match=rf"0\.conf: a .*{part}") as caught:
        layers.get("a")

    assert "secret" not in caught.value.describe()


def test_lenient_keeps_a_broken_value_as_it_is(folder: Path) -> None:
    assert layers_of(folder, "a = 100%\n").lenient("a") == "100%"


def test_extra_section_sees_the_main_keys(folder: Path) -> None:
    layers = layers_of(folder, "root = /dev/sda1\n[rootfs]\ndefault = %(root)s\n")

    assert layers.sections() == ["rootfs"]
    assert layers.section("rootfs") == {"default": "/dev/sda1"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$LAB_HOST:${LAB_HOST}", "rack:rack"),
        ("${LAB_GONE:-none}", "none"),
        ("${LAB_HOST:-none}", "rack"),
        ("${LAB_GONE:-$LAB_HOST}", "rack"),
        ("tftp ${kernel_addr_r} $fdt_addr", "tftp ${kernel_addr_r} $fdt_addr"),
        ("$Lab $LAB_HOSTs ${lab:-x}", "$Lab $LAB_HOSTs ${lab:-x}"),
        ("$1 $$ ${} $", "$1 $$ ${} $"),
    ],
)
def test_environment_is_put_in_for_upper_case_names_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: str
) -> None:
    monkeypatch.setenv("LAB_HOST", "rack")
    monkeypatch.setenv("L", "wrong")
    monkeypatch.delenv("LAB_GONE", raising=False)

    assert layers_of(folder, f"a = {text}\n").get("a") == expected


def test_unset_environment_name_brings_back_the_whole_default(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LAB_GONE", raising=False)
    layers = layers_of(
        folder, "a = x\n", "a = pdu $LAB_GONE\nb = $LAB_GONE\n", defaults={"a": "%(c)s", "c": "d"}
    )

    assert layers.get("a") == "d"
    assert layers.get("b") == "$LAB_GONE"


@given(
    st.lists(st.sampled_from(["$", "${", "}", ":-", "addr_r", "${a}", "$a", "1", "_"])).map("".join)
)
def test_u_boot_variables_are_never_touched(text: str) -> None:
    assert files.expand_environment(text) == text


@pytest.mark.parametrize(
    ("text", "line"), [("a = 1\nnonsense\n", 2), ("nonsense\n", 1), ("[s]\nb = 1\n\n= 2\n", 4)]
)
def test_syntax_error_names_file_and_line(tmp_path: Path, text: str, line: int) -> None:
    file = tmp_path / "x.conf"
    file.write_text(text)

    with pytest.raises(ConfigurationError, match=rf"x\.conf, line {line}: expected key = value"):
        files.Layers().read(file)


def test_unreadable_text_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "x.conf"
    file.write_bytes(b"a = \xff\n")

    with pytest.raises(ConfigurationError, match=r"x\.conf.*utf-8"):
        files.Layers().read(file)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_file_may_come_from_an_editor_of_windows(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "x.conf"
    file.write_bytes("a = ä\r\nb =\r\n  1\r\n  2\r\n".encode(encoding))
    layers = files.Layers()

    layers.read(file)

    assert (layers.get("a"), layers.get("b")) == ("ä", "\n1\n2")


def test_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    file = tmp_path / "x.conf"
    file.write_bytes(b"\xef\xbb\xbfa = 1\n")
    layers = files.Layers()
    layers.read(file)

    assert layers.keys() == ["a"]
