# SPDX-License-Identifier: MIT
"""Masking of the secrets of a job or a configuration before they are shown or logged."""

from __future__ import annotations

import re
from typing import Any

MASK = "********"

_SECRET_KEYS = frozenset({"token", "password"})
# Up to the last @, as a password may hold one.
_CREDENTIALS = re.compile(r"(?P<before>\b\w+://[^/\s:@]*:)[^/\s]+(?=@)")
# A user without a password is a token, as in the URLs of GitHub and GitLab.
_TOKEN = re.compile(r"(?P<before>\bhttps?://)[^/\s:@]+(?=@)")
# Not "?...", by which messages already replace a query.
_QUERY = re.compile(r"(?P<before>\b\w+://[^\s?#'\"]+\?)(?!\.\.\.)[^\s#'\"]+")
_MASKED = rf"\g<before>{MASK}"


def masked(value: Any, key: object = None) -> Any:
    """Return a copy of the plain data `value` with a mask for each secret.

    Secrets are the values of the keys ``token`` and ``password``, and in URLs the passwords, the
    users of HTTP without a password, and the queries, which may be signatures.  `key` is the key of
    `value` in its object.
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
