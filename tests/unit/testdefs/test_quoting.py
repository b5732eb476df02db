# SPDX-License-Identifier: MIT
import pytest

from lava_vmgroup.testdefs.quoting import leaves_quote_open, needs_another_command, quotes


@pytest.mark.parametrize(
    "code",
    ["echo don't", "echo 'a\nb", "a 'b' \"c", '[ $# -eq 1 ] || echo "a', "echo \\\\'", "x=${y#z}'"],
)
def test_quote_that_reaches_into_the_next_step_is_found(code: str) -> None:
    assert leaves_quote_open(code)


@pytest.mark.parametrize(
    "code",
    [
        "echo ok # don't",
        "# don't\necho 'x'",
        'echo "it\'s"',
        "echo \\'",
        'echo "\\""',
        "awk '{print $1}'",
        "echo 'a\nb'",
        "cat <<EOF\ndon't\nEOF",
        "echo $(sed s/'// file)",
        "for x in a b; do",
    ],
)
def test_code_that_may_be_whole_is_taken(code: str) -> None:
    assert not leaves_quote_open(code)


def test_each_character_has_the_quote_around_it() -> None:
    code = """'$1' "$2" $3 #'$4"""

    around = [one for one, character in zip(quotes(code), code, strict=True) if character == "$"]

    assert around == ["'", '"', "", "#"]


@pytest.mark.parametrize(
    ("code", "operator"),
    [
        ("./x |", "|"),
        ("./x || # else\n", "||"),
        ("cd /x &&\n", "&&"),
        ("./x |&", "|&"),
        ("echo \\\\|", "|"),
        ("echo \\|", None),
        ("echo '|'", None),
        ("sleep 1 &", None),
        ("echo a # |", None),
        ("a | b", None),
        ("cat <<E |\nx\nE", None),
    ],
)
def test_operator_without_its_second_command_is_found(code: str, operator: str | None) -> None:
    assert needs_another_command(code) == operator
