# SPDX-License-Identifier: MIT
"""The rules by which a dashboard checks a bundle."""

import json
from pathlib import Path
from typing import Any

import jsonschema

SCHEMA = json.loads((Path(__file__).parent / "bundle-schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def assert_valid(bundle: Any) -> None:
    """Fail when a dashboard would refuse the bundle."""
    VALIDATOR.validate(bundle)
