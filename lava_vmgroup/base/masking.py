# SPDX-License-Identifier: MIT
"""Keeping secrets that a job or a configuration holds out of what is shown."""

from __future__ import annotations

import re
from typing import Any

MASK = "********"

_SECRET_KEYS = frozenset({"token", "password"})
# Up to the last @: a password may hold one.
_CREDENTIALS = re.compile(r"(?P<before>\b\w+://[^/\s:@]*:)[^/\s]+(?=@)")
# A user without a password is a token, as in the URLs of GitHub and GitLab.
_TOKEN = re.compile(r"(?P<before>\bhttps?://)[^/\s:@]+(?=@)")
# Not what stands for a query already.
_QUERY = re.compile(r"(?P<before>\b\w+://[^\s?#'\"]+\?)(?!\.\.\.)[^\s#'\"]+")
_MASKED = rf"\g<before>{MASK}"


def masked(value: Any, key: object = None) -> Any:
    """The same plain data without secrets; `key` is the one that `value` stands under.

    Secrets are the values of ``token`` and ``password``, and in URLs passwords, users of HTTP
    without a password, and queries, which may be signatures.
    """
    if key in _SECRET_KEYS:
        return MASK
    if isinstance(value, str):
        for secret in (_CREDENTIALS, _TOKEN, _QUERY):
            value = secret.sub(_MASKED, value)
        return value
    if isinstance(value, dict):
        return {name: masked(item, name) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item) for item in value]
    return value
