# SPDX-License-Identifier: MIT
"""The shipped files say every key's default in a comment; these tests keep the two the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.config import files, typed
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.dispatcher import DispatcherConfig, load_dispatcher
from lava_vmgroup.config.inventory import load_vm_type

if TYPE_CHECKING:
    from tests.unit.config.conftest import Lab

FILES = [("device-defaults.conf", DeviceConfig), ("lava-dispatcher.conf", DispatcherConfig)]


def uncommented(name: str, folder: Path) -> Path:
    text = (files.search_path(Path("/"))[0] / name).read_text(encoding="utf-8")
    file = folder / name
    file.write_text(re.sub(r"^#(?=\w+ =|    )", "", text, flags=re.MULTILINE), encoding="utf-8")
    return file


@pytest.mark.parametrize(("name", "kind"), FILES)
def test_documented_defaults_are_the_real_ones(tmp_path: Path, name: str, kind: Any) -> None:
    layers = files.Layers(typed.default_texts(kind))
    layers.read(uncommented(name, tmp_path))

    documented = typed.read_keys(kind, layers)

    assert documented == typed.read_keys(kind, files.Layers(typed.default_texts(kind)))
    assert sorted(layers.keys()) == sorted(typed.key_names(kind))


@pytest.mark.parametrize(("name", "kind"), FILES)
def test_defaults_without_files_are_those_with_files(name: str, kind: Any) -> None:
    read = typed.read_keys(kind, files.Layers(typed.default_texts(kind)))

    different = [key for key in typed.key_names(kind) if getattr(read, key) != getattr(kind(), key)]

    # a device without files has no name to call conmux with
    assert different == (["connection_command"] if kind is DeviceConfig else [])


def test_dispatcher_keys_are_read_in_v1s_upper_case(lab: Lab) -> None:
    lab.write(
        "lava-dispatcher.conf",
        "LAVA_SERVER_IP = 10.0.2.2\nLAVA_CACHEDIR = ~/cache\n"
        "LOGGING_LEVEL = 10\nLAVA_TEST_DEB = x\n",
    )

    config = load_dispatcher(lab.search_path)

    assert config.lava_image_url == "http://10.0.2.2/images/tmp"
    assert config.lava_cachedir == Path("~/cache").expanduser()
    assert config.logging_level == 10


def test_wrong_dispatcher_value_names_file_and_key(lab: Lab) -> None:
    lab.write("lava-dispatcher.conf", "LAVA_IMAGE_TMPDIR = tmp\n")

    with pytest.raises(
        ConfigurationError, match=r"lava-dispatcher\.conf: lava_image_tmpdir = 'tmp'"
    ):
        load_dispatcher(lab.search_path)


def test_shipped_device_types_have_no_mistyped_keys() -> None:
    path = files.search_path(Path("/"))[:1]
    types = files.names_in("device-types", path)

    assert "kvm-aarch64" in types
    assert [doubt for one in types for doubt in load_vm_type(one, path).doubts()] == []
