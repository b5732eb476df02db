# SPDX-License-Identifier: MIT
"""The rules by which a dashboard checks a bundle."""

import json
from pathlib import Path
from typing import Any

import jsonschema

from lava_vmgroup.results.model import JobResult
from lava_vmgroup.results.writers import bundle as writer

SCHEMA = json.loads((Path(__file__).parent / "bundle-schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def assert_valid(bundle: Any) -> None:
    """Fail when a dashboard would refuse the bundle."""
    VALIDATOR.validate(bundle)


def bundle_of(result: JobResult) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(writer.render(result))
    VALIDATOR.validate(document)
    return document
