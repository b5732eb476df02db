# SPDX-License-Identifier: MIT
"""The keys that a board with a master image must have; the emulated board runs one."""

from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.boards import BoardSetup, load
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.deploy.fetch import JobFiles


@pytest.mark.parametrize(
    ("keys", "message", "hint"),
    [
        ({}, "board01 has no disk for images", "master_testdisk"),
        ({"master_testdisk": "vda"}, "board01 has no disk for images", "/dev/mmcblk0"),
        ({"master_testdisk": "/dev/vda"}, "board01 has no master_kernel", "master_ramdisk"),
        (
            {"master_testdisk": "/dev/vda", "master_kernel": "kernel"},
            "expected an absolute path or a URL, not 'kernel'",
            "correct it there",
        ),
        (
            {"master_testdisk_id": "ata-1", "master_kernel": "/no/such/kernel"},
            "board01: master_kernel: there is no file /no/such/kernel",
            "name an existing file",
        ),
    ],
)
def test_incomplete_master_image_is_told_before_the_board_is_touched(
    tmp_path: Path, job_files: JobFiles, keys: dict[str, str], message: str, hint: str
) -> None:
    setup = BoardSetup(
        config=DeviceConfig(hostname="board01", client_type="master", **keys),  # type: ignore[arg-type]
        dispatcher=DispatcherConfig(lava_image_tmpdir=tmp_path / "tftp"),
        recorder=Recorder(tmp_path / "console.log"),
        log=NodeLog("board01"),
        files=job_files,
        job="job-1",
    )

    with pytest.raises(ConfigurationError) as caught:
        load(setup).deploy_image(tmp_path, Deadline.after("the test", 5.0))

    assert caught.value.message.endswith(message)
    assert hint in str(caught.value.hint)
    assert not (tmp_path / "tftp").exists()
