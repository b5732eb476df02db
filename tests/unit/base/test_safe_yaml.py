# SPDX-License-Identifier: MIT
import pytest
import yaml

from lava_vmgroup.base import safe_yaml


@pytest.mark.parametrize(
    "text",
    [
        "!!timestamp foo",
        "!!bool maybe",
        '!!int ""',
        '!!int "-"',
        "!!int abc",
        "!!float x",
        "!!map a",
    ],
)
def test_text_that_does_not_fit_its_tag_is_refused(text: str) -> None:
    for document in (text, f"{{a: [{text}]}}"):
        with pytest.raises(yaml.YAMLError, match=" is no |does not fit"):
            safe_yaml.load(document)


@pytest.mark.parametrize("text", ["0x_", "0b_", "1" * 5000])
def test_number_that_cannot_be_used_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is no number, or has too many digits"):
        _ = safe_yaml.Plain(text).value
