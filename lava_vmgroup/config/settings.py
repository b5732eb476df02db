# SPDX-License-Identifier: MIT
"""A job's settings for the system that it deploys and boots, laid over the lab's configuration.

The result is a `DeviceConfig` like the lab's own.  So a board's driver or a VM's console, which are
made from one, need no code for the job's settings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Self

from lava_vmgroup.base.errors import ConfigurationError, JobError
from lava_vmgroup.base.user_pattern import expression_problem, fits_no_text
from lava_vmgroup.config import commands, typed
from lava_vmgroup.config.device import DeviceConfig

_TEXT = {"type": "string", "minLength": 1}
_TEXTS = {"type": "array", "items": {"type": "string"}}
_PARTITION = {"type": "integer", "minimum": 1}

DEPLOY_PARAMETERS: Mapping[str, Any] = MappingProxyType(
    {
        "login_prompt": _TEXT,
        "username": _TEXT,
        "password_prompt": _TEXT,
        "password": {"type": "string"},
        "login_commands": _TEXTS,
        "boot_part": _PARTITION,
        "root_part": _PARTITION,
        "target_type": {"enum": ["ubuntu", "oe", "debian", "fedora", "debian_installer"]},
        "bootloadertype": {"enum": ["u_boot", "uefi"]},
        "rootfstype": _TEXT,
        "bootfstype": _TEXT,
    }
)
"""The schema of the parameters of a deploy action that `DeploySettings` reads."""

BOOT_PARAMETERS: Mapping[str, Any] = MappingProxyType(
    {
        "options": {
            "type": "array",
            "items": {
                "type": "string",
                "pattern": "^[^=]+=",
                "x-expected": "an option as NAME=VALUE",
            },
        },
        "boot_cmds": {"type": "array", "minItems": 1, "items": _TEXT},
        "test_image_prompt": _TEXT,
        "interrupt_boot_prompt": _TEXT,
    }
)
"""The schema of the parameters of a boot action that `BootSettings` reads."""

BOOT_COMMANDS = frozenset({"boot_linaro_image", "boot_image"})
"""The job's commands that have `BOOT_PARAMETERS`."""

_PROMPTS = ("login_prompt", "password_prompt", "test_image_prompt", "interrupt_boot_prompt")
_NEEDS = (("login_prompt", "username"), ("password_prompt", "password"))
_V1_FILE_SYSTEMS = {"rootfstype": "ext4", "bootfstype": "vfat"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploySettings:
    """The login and the kind of a deployed system; None leaves the lab's value."""

    login_prompt: str | None = None
    username: str | None = None
    password_prompt: str | None = None
    password: str | None = field(default=None, repr=False)
    login_commands: tuple[str, ...] | None = None
    boot_part: int | None = None
    root_part: int | None = None
    target_type: str | None = None
    bootloadertype: str = "u_boot"
    """``uefi`` makes a VM boot by firmware even if its image names a kernel."""

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """Return the settings in a deploy action's checked parameters."""
        return cls(**_picked(cls, parameters))

    def over(self, config: DeviceConfig) -> DeviceConfig:
        """Return the lab's configuration with these settings laid over it."""
        names = ("login_prompt", "username", "password_prompt", "password", "login_commands")
        given = {
            name: value
            for name in (*names, "boot_part")
            if (value := getattr(self, name)) is not None
        }
        config = replace(config, **given)
        if self.root_part is not None:
            config = _with_root_part(config, self.root_part)
        if self.target_type == "oe" and config.boot_cmds_oe:
            config = replace(config, boot_cmds=config.boot_cmds_oe)
        if self.target_type == "debian_installer":
            config = replace(config, boot_linaro_timeout=config.extended_boot_timeout)
        return config


@dataclass(frozen=True, slots=True, kw_only=True)
class BootSettings:
    """The differences of one boot from the lab's configuration."""

    options: tuple[str, ...] = ()
    """Values for the device's ``boot_options``, as ``NAME=VALUE``."""
    boot_cmds: tuple[str, ...] = ()
    test_image_prompt: str | None = None
    interrupt_boot_prompt: str | None = None

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """Return the settings in a boot action's checked parameters."""
        return cls(**_picked(cls, parameters))

    @property
    def chooses_commands(self) -> bool:
        """True if the job chooses the boot commands or a part of them.

        For a VM these are the kernel's command line.
        """
        return bool(self.boot_cmds or self.options)

    def over(self, config: DeviceConfig) -> DeviceConfig:
        """Return the configuration for this boot.

        Raises `JobError` for an option that the device does not have, or whose value it does not
        allow.
        """
        for option in self.options:
            config = _with_option(config, option)
        if self.boot_cmds:
            config = replace(config, job_boot_cmds=self.boot_cmds)
        if self.test_image_prompt is not None:
            prompts = (*config.test_image_prompts, self.test_image_prompt)
            config = replace(config, test_image_prompts=prompts)
        if self.interrupt_boot_prompt is not None:
            config = replace(config, interrupt_boot_prompt=self.interrupt_boot_prompt)
        return config


DEFAULT_BOOT = BootSettings()
"""A boot by the lab's configuration alone."""


def deploy_problems(parameters: Mapping[str, Any]) -> Iterator[str]:
    """Yield the problems in the settings of a deploy action, as ``parameter: problem`` lines."""
    yield from _prompt_problems(parameters)
    for name, needed in _NEEDS:
        if name in parameters and needed not in parameters:
            yield f"{name}: it needs {needed}, to answer the prompt with"
    if parameters.get("login_commands") and "login_prompt" not in parameters:
        yield "login_commands: they follow a login; give login_prompt and username as well"
    for name, usual in _V1_FILE_SYSTEMS.items():
        if parameters.get(name, usual) != usual:
            yield (
                f"{name}: no file system is made, an image is written as it is; remove {name} "
                "and give an image with that file system"
            )


def boot_problems(parameters: Mapping[str, Any], *, typed_at_prompt: bool) -> Iterator[str]:
    """Yield the problems in the settings of a boot action, as ``parameter: problem`` lines.

    `typed_at_prompt` is True if the boot commands are for a boot loader, and False if they are a
    VM's kernel command line.
    """
    yield from _prompt_problems(parameters)
    if typed_at_prompt:
        try:
            commands.parse_lines(parameters.get("boot_cmds", ()), place="boot_cmds")
        except ConfigurationError as error:
            yield error.describe()


def _prompt_problems(parameters: Mapping[str, Any]) -> Iterator[str]:
    for name in _PROMPTS:
        if name not in parameters:
            continue
        problem = expression_problem(parameters[name])
        if problem is not None:
            yield f"{name}: {problem}"
        elif fits_no_text(parameters[name]):
            yield f"{name}: expected an expression for some text; it fits where there is none"


def _picked(cls: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
    names = [one.name for one in fields(cls) if one.name in parameters]
    return {
        name: tuple(value) if isinstance(value := parameters[name], list) else value
        for name in names
    }


def _with_root_part(config: DeviceConfig, number: int) -> DeviceConfig:
    """Return the configuration with another root partition.

    A VM's kernel command line names the root device, so it changes, too.
    """
    device = re.sub(r"\d+$", str(number), config.root_device)
    arguments = config.boot_cmds
    if config.is_qemu:
        arguments = arguments.replace(config.root_device, device)
    return replace(config, root_part=number, root_device=device, boot_cmds=arguments)


def _with_option(config: DeviceConfig, option: str) -> DeviceConfig:
    name, _, value = option.partition("=")
    sections = config.boot_options
    if name not in sections:
        raise JobError(
            f"device type {config.device_type} has no boot option {name!r}",
            hint=f"known: {', '.join(sections) or 'none'}; they are its boot_options",
        )
    allowed = typed.choices(sections[name].get("allowed", ""))
    if allowed and value not in allowed:
        raise JobError(
            f"the boot option {name} of device type {config.device_type} cannot be {value!r}",
            hint=f"allowed: {', '.join(allowed)}",
        )
    if name == "boot_cmds":
        if not config.has_key(value):
            raise JobError(
                f"the boot option boot_cmds names {value!r}, which is no key of the configuration",
                hint="name one that holds boot commands, such as boot_cmds_oe",
            )
        return replace(config, boot_cmds_key=value)
    section = MappingProxyType({**sections[name], "default": value})
    return replace(config, boot_options=MappingProxyType({**sections, name: section}))
