# SPDX-License-Identifier: MIT
"""The configuration of the dispatcher's own machine, from ``lava-dispatcher.conf``.

The file ``default-config/lava-dispatcher/lava-dispatcher.conf`` explains each key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lava_vmgroup.config import files, typed
from lava_vmgroup.config.mappings import UrlMapping, load_mappings
from lava_vmgroup.config.typed import Count, Positive

_CACHE = "${XDG_CACHE_HOME:-~/.cache}/lava-vmgroup/downloads"


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
        default_factory=lambda: Path(files.expand_environment(_CACHE)).expanduser(),
        metadata=typed.refers(_CACHE),
    )
    lava_cache_mib: Count = 20480
    lava_lock_dir: Path | None = None
    """None for the folder that `lava_vmgroup.runner.device_lock` chooses."""
    lava_cookies: str = field(default="", repr=False)
    lava_proxy: str = ""
    lava_no_proxy: str = ""
    logging_level: Count = 20
    host_command_retries: Positive = 5

    url_mappings: tuple[UrlMapping, ...] = field(default=(), metadata=typed.NO_KEY)
    """The replacements for URLs that jobs name, from ``urlmappings.txt``."""

    def mapped(self, url: str) -> str:
        """Return the URL to use in place of `url`, which a job names."""
        for mapping in self.url_mappings:
            url = mapping.pattern.sub(mapping.replacement, url)
        return url

    @property
    def proxy_variables(self) -> dict[str, str]:
        """The environment variables that name the proxy to programs; empty without a proxy."""
        if not self.lava_proxy:
            return {}
        return {
            "http_proxy": self.lava_proxy,
            "https_proxy": self.lava_proxy,
            "no_proxy": self.lava_no_proxy,
        }


def load_dispatcher(search_path: tuple[Path, ...]) -> DispatcherConfig:
    """Read the dispatcher's configuration; raises ConfigurationError for a value that does not fit.

    Unknown keys are ignored, as v1's files have more keys.
    """
    layers = files.Layers(typed.default_texts(DispatcherConfig))
    layers.read_all("lava-dispatcher.conf", search_path)
    return typed.read_keys(DispatcherConfig, layers, url_mappings=load_mappings(search_path))
