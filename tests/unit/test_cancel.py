# SPDX-License-Identifier: MIT
from lava_vmgroup.cancel import CancelToken, cancel_all
from lava_vmgroup.errors import Canceled, VMGroupError


def test_who_wakes_first_finds_the_reasons_of_all() -> None:
    tokens = [CancelToken() for _ in range(3)]
    seen: list[VMGroupError | None] = []

    with tokens[0].waking(lambda: seen.extend(token.reason for token in tokens)):
        reasons = [Canceled(f"reason {number}", signal_number=2) for number in range(3)]
        cancel_all(zip(tokens, reasons, strict=True))

    assert seen == reasons


def test_first_reason_stands_and_wakes_once() -> None:
    token = CancelToken()
    woken: list[str] = []
    first = Canceled("first", signal_number=2)

    with token.waking(lambda: woken.append("woken")):
        token.cancel(first)
        token.cancel(Canceled("second", signal_number=15))

    assert token.reason is first
    assert woken == ["woken"]
