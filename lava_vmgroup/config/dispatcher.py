# SPDX-License-Identifier: MIT
"""What ``lava-dispatcher.conf`` says about the dispatcher's own machine.

What each key is for is said in ``default-config/lava-dispatcher/lava-dispatcher.conf``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lava_vmgroup.config import files, typed
from lava_vmgroup.config.typed import Count, Positive


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatcherConfig:
    """The dispatcher's settings, under v1's names in lower case."""

    lava_server_ip: str = "192.168.1.10"
    lava_image_tmpdir: Path = Path("/var/lib/lava/dispatcher/tmp")
    lava_image_url: str = field(
        default="http://192.168.1.10/images/tmp",
        metadata=typed.refers("http://%(lava_server_ip)s/images/tmp"),
    )
    lava_result_dir: Path = Path("/lava/results")
    lava_cachedir: Path = field(
        default_factory=lambda: Path("~/.cache/lava-vmgroup/downloads").expanduser()
    )
    lava_proxy: str = ""
    lava_no_proxy: str = ""
    logging_level: Count = 20
    host_command_retries: Positive = 5


def load_dispatcher(search_path: tuple[Path, ...]) -> DispatcherConfig:
    """Read the dispatcher's configuration; raises ConfigurationError for a value that does not fit.

    Keys that nothing here uses are v1's own and are left alone.
    """
    layers = files.Layers(typed.default_texts(DispatcherConfig))
    layers.read_all("lava-dispatcher.conf", search_path)
    return typed.read_keys(DispatcherConfig, layers)
