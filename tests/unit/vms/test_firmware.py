# SPDX-License-Identifier: MIT
import pytest

from lava_vmgroup.errors import InfrastructureError
from lava_vmgroup.nodes.vm import _firmware
from lava_vmgroup.vms.accelerator import Arch
from lava_vmgroup.vms.host import FIRMWARE


def test_best_firmware_of_the_host_is_chosen() -> None:
    uefi, *_, u_boot = FIRMWARE[Arch.AARCH64]

    assert _firmware(Arch.AARCH64, frozenset({u_boot, uefi})) == uefi
    assert _firmware(Arch.AARCH64, frozenset({u_boot})) == u_boot


def test_qemu_brings_its_own_firmware_for_x86() -> None:
    assert _firmware(Arch.X86_64, frozenset()) is None


def test_host_without_firmware_is_told_with_the_remedy() -> None:
    with pytest.raises(InfrastructureError, match="the host has no firmware") as caught:
        _firmware(Arch.AARCH64, frozenset())
    assert "use deploy_linaro_kernel" in str(caught.value.hint)
