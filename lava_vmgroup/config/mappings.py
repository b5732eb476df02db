# SPDX-License-Identifier: MIT
"""``urlmappings.txt``: replacements for the URLs that jobs name, such as a mirror in the lab."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.base.text import decoded

FILE = "urlmappings.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlMapping:
    """A regular expression, and the text that replaces its matches in a URL."""

    pattern: re.Pattern[str]
    replacement: str


def load_mappings(search_path: tuple[Path, ...]) -> tuple[UrlMapping, ...]:
    """Return the mappings of every folder on the search path, in the order of their use.

    Raises ConfigurationError, with file and line, for a line that is no mapping.
    """
    mappings = []
    for folder in search_path:
        try:
            text = decoded((folder / FILE).read_bytes())
        except FileNotFoundError:
            continue
        except ValueError as error:
            raise ConfigurationError(f"{folder / FILE} {error}") from error
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip() and not line.startswith("#"):
                mappings.append(_mapping(line, f"{folder / FILE}, line {number}"))
    return tuple(mappings)


def _mapping(line: str, place: str) -> UrlMapping:
    expression, comma, replacement = (part.strip() for part in line.rpartition(","))
    try:
        pattern = re.compile(expression)
        pattern.sub(replacement, "")  # raises for groups that the expression does not have
    except (re.error, IndexError) as error:
        raise ConfigurationError(f"{place}: {error}", hint="write regex,replacement") from error
    if not comma or not expression:
        raise ConfigurationError(
            f"{place}: expected regex,replacement, found {line!r}", hint="correct it there"
        )
    return UrlMapping(pattern=pattern, replacement=replacement)
