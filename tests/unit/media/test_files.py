from pathlib import Path

import pytest

from app.media.files import replacing


def test_a_file_appears_whole_when_its_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "result.mp4"

    with replacing(path) as temporary:
        temporary.write_bytes(b"new")
        assert not path.exists()

    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "result.mp4"
    path.write_bytes(b"old")

    with pytest.raises(FileNotFoundError), replacing(path) as temporary:
        temporary.with_name("missing").rename(temporary)

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
