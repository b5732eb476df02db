# SPDX-License-Identifier: MIT
"""``submit_results``: send the node's results to a dashboard, once the whole group has ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from lava_vmgroup.job.model import Action, Scope

ALIASES = ("submit_results_on_host",)

PARAMETERS: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["server", "stream"],
    "x-once": True,
    "properties": {
        "server": {
            "type": "string",
            "minLength": 1,
            "description": "The URL of the dashboard's XML-RPC service.",
        },
        "stream": {
            "type": "string",
            "pattern": r"^/\S+\Z",
            "x-expected": "the path of a bundle stream, such as /anonymous/name/",
            "description": "The path of the bundle stream.",
        },
        "token": {
            "type": "string",
            "minLength": 1,
            "description": "The secret of the user whom the URL names.",
        },
        "result_disk": {"type": "string", "description": "Accepted, without any effect."},
    },
}


def check(action: Action, scope: Scope) -> Iterator[str]:  # noqa: ARG001
    """Yield a problem for a bad URL, and for a token whose user the URL does not name."""
    try:
        url = urlsplit(action.parameters["server"])
        valid = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        valid = False
    if not valid:
        yield "server: expected a URL such as https://dashboard.example.org/RPC2/"
    elif "token" in action.parameters and not url.username:
        yield "server: names no user for the token; put the name and an @ before the host"
    elif "token" in action.parameters and url.password:
        yield "server: has a password, and there is a token too; remove one of them"
