# SPDX-License-Identifier: MIT
"""Keeping secrets that a job holds out of what is shown."""

from __future__ import annotations

import re
from typing import Any

MASK = "********"

_SECRET_KEYS = frozenset({"token", "password"})
# Up to the last @: a password may hold one.
_CREDENTIALS = re.compile(r"(?P<before>\b\w+://[^/\s:@]*:)[^/\s]+(?=@)")


def masked(value: Any, key: object = None) -> Any:
    """The same plain data without secrets; `key` is the one that `value` stands under.

    Secrets are the values of ``token`` and ``password``, and passwords in URLs.
    """
    if key in _SECRET_KEYS:
        return MASK
    if isinstance(value, str):
        return _CREDENTIALS.sub(rf"\g<before>{MASK}", value)
    if isinstance(value, dict):
        return {name: masked(item, name) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item) for item in value]
    return value
