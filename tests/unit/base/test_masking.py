# SPDX-License-Identifier: MIT
from typing import Any

import pytest

from lava_vmgroup.base.masking import MASK, masked


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"token": "hidden"}, {"token": MASK}),
        ({"token": ["hidden"]}, {"token": MASK}),
        ([{"password": "hidden", "username": "root"}], [{"password": MASK, "username": "root"}]),
        ("https://me:hidden@example.org/x", f"https://me:{MASK}@example.org/x"),
        ("https://me:hid@den@example.org/x", f"https://me:{MASK}@example.org/x"),
        ("https://example.org/x?sig=hidden#y", f"https://example.org/x?{MASK}#y"),
        ("trouble with http://a/b?..., going on", "trouble with http://a/b?..., going on"),
        ("is 'http://a/b?sig=hidden' there?", f"is 'http://a/b?{MASK}' there?"),
        ("https://:hidden@example.org", f"https://:{MASK}@example.org"),
        ({"urls": ["a", "ssh://me:hidden@b/c"]}, {"urls": ["a", f"ssh://me:{MASK}@b/c"]}),
        ("https://hidden@example.org:8080/x@y", f"https://{MASK}@example.org:8080/x@y"),
        ("http://example.org:8080/x@y", "http://example.org:8080/x@y"),
        ("ssh://me@example.org/x", "ssh://me@example.org/x"),
        ("mail me: me@example.org", "mail me: me@example.org"),
        ({"count": 3, "on": True, "of": None}, {"count": 3, "on": True, "of": None}),
    ],
)
def test_secrets_are_masked_and_nothing_else(value: Any, expected: Any) -> None:
    assert masked(value) == expected
