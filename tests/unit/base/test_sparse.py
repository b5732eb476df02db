# SPDX-License-Identifier: MIT
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from lava_vmgroup.base.sparse import data_blocks

PIECES = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=5000),
        st.integers(min_value=1, max_value=20000).map(bytes),  # zeros that are stored
        st.integers(min_value=1, max_value=20000),  # a hole
    ),
    max_size=8,
)


@given(PIECES, st.sampled_from([512, 4096, 5000]))
def test_blocks_give_the_file_again(pieces: list[bytes | int], block_size: int) -> None:
    with tempfile.TemporaryFile() as file:
        for piece in pieces:
            if isinstance(piece, int):
                file.seek(piece, 1)
            else:
                file.write(piece)
        file.truncate()
        file.seek(0)
        whole = file.read()

        copy = bytearray(len(whole))
        for position, block in data_blocks(file, block_size):
            assert any(block)
            copy[position : position + len(block)] = block

    assert bytes(copy) == whole


def test_holes_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    with path.open("wb") as file:
        file.seek(1 << 40)
        file.write(b"end")

    with path.open("rb") as file:
        assert [block[-3:] for _, block in data_blocks(file, 4096)] == [b"end"]
