# SPDX-License-Identifier: MIT
"""Variables of a ``grub.cfg`` have the values here that they have in GRUB."""

import pytest

from lava_vmgroup.base.errors import JobError
from lava_vmgroup.deploy.grub_config import grub
from lava_vmgroup.deploy.grub_variables import GrubVariables


@pytest.mark.parametrize(
    ("before", "within", "arguments", "append"),
    [
        ('set opts="root=/dev/vda ro"', "", "$opts quiet", "root=/dev/vda ro quiet"),
        ('opts="root=/dev/vda ro"', "", "${opts} quiet", "root=/dev/vda ro quiet"),
        ("set opts=a; set opts=b", "", "x=$opts", "x=b"),
        ("set a=1; set b=$a,2; set a=3", "", "$a x=$b", "3 x=1,2"),
        ("set a=1; set a=${a}2", "", "x=$a", "x=12"),
        ("set a=1", "set a=2", "x=$a", "x=2"),
        ("set a=b", "", "'x=$a' \"y=\\$a\" z=\\$a", "x=$a y=$a z=$a"),
        ("set a='b c'", "", '"x=$a" y=$a', '"x=b c" y=b c'),
        ("set a='$b'; set b=c", "", "x=$a", "x=$b"),
        ("set empty=", "", "x=$empty $empty y", "x= y"),
        ("", "", "$tuned_params quiet $vt_handoff", "quiet"),
        ('if [ -z "${saved}" ]; then set saved=mine; fi', "", "x=$saved", "x=theirs"),
        ('if [ -z "${new}" ]; then\nset new=mine\nfi', "", "x=$new", "x=mine"),
        ("function f { set saved=mine; }", "", "x=$saved", "x=theirs"),
        ("menuentry other { set saved=mine; linux /other; }", "", "x=$saved", "x=theirs"),
    ],
)
def test_arguments_have_the_values_that_grub_has_when_it_runs_the_entry(
    before: str, within: str, arguments: str, append: str
) -> None:
    text = f"set default=mine\n{before}\nmenuentry mine {{\n{within}\nlinux /k {arguments}\n}}\n"

    menu = grub(text, GrubVariables({"saved": "theirs"}))

    entry = menu.in_order()[0]
    assert (entry.kernel, entry.append, entry.warnings) == ("/k", append, ())


def test_paths_of_grub_have_the_values_that_the_file_sets() -> None:
    entry = "menuentry x {\nlinux ($root)/k-$v\ninitrd $dir/r-$v\n}\n"

    menu = grub(f"set v=6.1\nset dir='(hd0)/boot'\n{entry}", GrubVariables())

    [found] = menu.entries
    assert (found.kernel, found.initrds) == ("/k-6.1", ("/boot/r-6.1",))


@pytest.mark.parametrize("word", ["$a$a", '"$a$a"'])
def test_values_that_double_again_and_again_are_refused(word: str) -> None:
    entry = "menuentry x {\nlinux /k $a\n}\n"

    with pytest.raises(JobError, match="stand for more than"):
        grub("set a=0123456789\n" + f"set a={word}\n" * 18 + entry, GrubVariables())


@pytest.mark.parametrize(
    ("before", "warnings"),
    [
        ("", ("$a has no known value and is left empty",)),
        ('set a="$b$b"', ("$b has no known value and is left empty",)),
        (
            "if true; then set a=; fi",
            ("$a depends on `if true`, which is taken to hold",),
        ),
    ],
)
def test_value_that_is_not_certain_is_told_once(before: str, warnings: tuple[str, ...]) -> None:
    menu = grub(f"{before}\nmenuentry x {{\nlinux ($root)/k x=$a $a y\n}}\n", GrubVariables())

    [entry] = menu.entries
    assert (entry.kernel, entry.append, entry.warnings) == ("/k", "x= y", warnings)
