# SPDX-License-Identifier: MIT
"""LAVA's file lava-coordinator.conf, with our keys in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.config.coordinator import CoordinatorConfig, Endpoint, load_coordinator_config

SHIPPED = {"port": 3079, "blocksize": 4096, "poll_delay": 3, "coordinator_hostname": "localhost"}


def written(folder: Path, **keys: Any) -> Path:
    path = folder / "lava-coordinator.conf"
    path.write_text(json.dumps(keys), encoding="utf-8")
    return path


def test_the_file_that_lava_ships_is_read(tmp_path: Path) -> None:
    config = load_coordinator_config(written(tmp_path, **SHIPPED))

    assert config == CoordinatorConfig()
    assert config.endpoint() == Endpoint(host="localhost", port=3079, poll_delay_s=3)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_the_file_may_begin_with_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path)
    path.write_text(json.dumps(SHIPPED), encoding=encoding)

    assert load_coordinator_config(path) == CoordinatorConfig()


def test_keys_that_are_missing_have_lavas_defaults_and_unknown_ones_are_left_alone(
    tmp_path: Path,
) -> None:
    config = load_coordinator_config(written(tmp_path, zmq_socket="unknown"))

    assert config == CoordinatorConfig(poll_delay=1)


def test_the_token_is_read_from_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    (tmp_path / "token").chmod(0o600)

    endpoint = load_coordinator_config(written(tmp_path, token_file="token")).endpoint()

    assert endpoint.token == "s3cret"
    assert "s3cret" not in repr(endpoint)


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o620, 0o644])
def test_a_token_that_others_may_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "token").write_text("s3cret")
    (tmp_path / "token").chmod(mode)

    with pytest.raises(ConfigurationError, match="token: a token that others") as caught:
        load_coordinator_config(written(tmp_path, token_file="token")).endpoint()

    assert "s3cret" not in caught.value.describe()


def test_a_token_may_be_shared_with_a_group_of_users(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret")
    (tmp_path / "token").chmod(0o640)

    assert load_coordinator_config(written(tmp_path, token_file="token")).token() == "s3cret"


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe"])
def test_a_file_without_a_token_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    (tmp_path / "token").chmod(0o600)

    with pytest.raises(ConfigurationError, match="token"):
        load_coordinator_config(written(tmp_path, token_file="token")).token()


def test_a_token_that_is_missing_is_refused(tmp_path: Path) -> None:
    config = load_coordinator_config(written(tmp_path, token_file="missing"))

    with pytest.raises(ConfigurationError, match=f"{tmp_path}/missing"):
        config.endpoint()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("port", "3079"),
        ("port", 65536),
        ("port", True),
        ("poll_delay", 0),
        ("poll_delay", "3"),
        ("poll_delay", float("inf")),
        ("poll_delay", 10**400),
        ("blocksize", 0),
        ("coordinator_hostname", ""),
        ("coordinator_hostname", None),
        ("listen", 0),
        ("token_file", []),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_file_and_key(
    tmp_path: Path, key: str, value: Any
) -> None:
    path = written(tmp_path, **{**SHIPPED, key: value})

    with pytest.raises(ConfigurationError, match=f"^{path}: {key}: expected "):
        load_coordinator_config(path)


@pytest.mark.parametrize("content", ["", "port = 3079", "[]", "[" * 100_000])
def test_a_file_that_is_no_json_object_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "lava-coordinator.conf"
    path.write_text(content)

    with pytest.raises(ConfigurationError, match=str(path)):
        load_coordinator_config(path)


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read"):
        load_coordinator_config(tmp_path / "lava-coordinator.conf")
