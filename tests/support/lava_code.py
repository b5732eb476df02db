# SPDX-License-Identifier: MIT
"""LAVA's own code on device types and jobs, run with LAVA's modules on the path.

Standard input is a JSON object.  With ``devices`` and ``templates``, each text in ``devices``, a
device of LAVA's in Jinja, is rendered into the file that is its key; ``templates`` are the folders
with the device types.  With ``job``, a job's text, LAVA's reason to refuse the job is printed, or
"".  With ``cases``, each of them (a dictionary's file, a list of boot commands, the kernel's kind,
the job's files) becomes the boot commands that LAVA would type, on standard output.
"""

from __future__ import annotations

import copy
import importlib
import json
import logging
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml


def render(devices: dict[str, str], templates: list[str]) -> None:
    """Render devices to dictionaries."""
    jinja2: Any = importlib.import_module("jinja2")
    lava: Any = importlib.import_module("lava_common.jinja")
    environment = lava.create_device_templates_env(jinja2.FileSystemLoader(templates))
    for path, device in devices.items():
        device_type = device.partition("{% extends '")[2].partition(".jinja2")[0]
        names = {"scheduled_device_name": "board01", "scheduled_device_type": device_type}
        text = environment.from_string(device).render(names)
        Path(path).write_text(text, encoding="utf-8")


@cache
def dictionary(path: str) -> Any:
    return yaml.safe_load(Path(path).read_text(encoding="utf-8"))


def boot_commands(path: str, kind: str, kernel: str, files: dict[str, str]) -> list[str] | str:
    """Return LAVA's boot commands, or the error that LAVA raises."""
    boot: Any = importlib.import_module("lava_dispatcher.actions.boot")
    device: Any = importlib.import_module("lava_dispatcher.device")
    job: Any = importlib.import_module("lava_dispatcher.job")
    strings: Any = importlib.import_module("lava_dispatcher.utils.strings")
    timeout: Any = importlib.import_module("lava_common.timeout")
    content = device.DeviceDict(copy.deepcopy(dictionary(path)))
    parameters = {"dispatcher": {"dispatcher_ip": "10.0.0.1"}}
    limit = timeout.Timeout("job", None)
    action = boot.BootloaderCommandOverlay(
        job.Job("1", parameters, content, limit, logging.getLogger())
    )
    action.parameters = {"method": "u-boot", "commands": kind, "namespace": "common"}
    action.section, action.level = "boot", "1"

    def put(name: str, label: str, key: str, value: str) -> None:
        action.set_namespace_data(action=name, label=label, key=key, value=value)

    word = strings.map_kernel_uboot(action, kernel, content["parameters"])
    put("uboot-prepare-kernel", "bootcommand", "bootcommand", word)
    for name, file in files.items():
        put("download-action", "file", name, file)
    put("compress-ramdisk", "file", "ramdisk", files.get("ramdisk", ""))
    put("extract-rootfs", "file", "nfsroot", files.get("nfsrootfs", ""))
    action.validate()
    if action.errors:
        return str(action.errors)
    action.run(None, None)
    told: list[str] = action.get_namespace_data(
        action="bootloader-overlay", label="u-boot", key="commands"
    )
    return told


def refusal(text: str) -> str:
    """Return LAVA's reason to refuse a job, or ""."""
    schemas: Any = importlib.import_module("lava_common.schemas")
    try:
        schemas.validate(yaml.safe_load(text))
    except schemas.Invalid as error:
        return str(error)
    return ""


def main() -> None:
    """Do what standard input says."""
    logging.disable(logging.CRITICAL)
    asked = json.load(sys.stdin)
    if "devices" in asked:
        render(asked["devices"], asked["templates"])
    elif "job" in asked:
        json.dump(refusal(asked["job"]), sys.stdout)
    else:
        json.dump([boot_commands(*case) for case in asked["cases"]], sys.stdout)


if __name__ == "__main__":
    main()
