import hashlib
from pathlib import Path

import pytest

from app.errors import InvalidModel, ModelNotFound
from app.media.digests import known_sha256
from app.wav2lip.model_file import check_model_file


def test_a_missing_model_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="no model file at"):
        check_model_file(tmp_path / "wav2lip.pth")
    with pytest.raises(ModelNotFound):
        check_model_file(tmp_path)


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 435807851\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html><head><title>Sign in</title>", "a web page, not a model"),
        (b"<html lang=en>", "a web page, not a model"),
    ],
)
def test_what_a_failed_download_leaves_gets_its_own_hint(tmp_path: Path, content: bytes, hint: str) -> None:
    path = tmp_path / "wav2lip.pth"
    path.write_bytes(content)
    with pytest.raises(InvalidModel, match=hint):
        check_model_file(path)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux's unreadable file")
def test_a_file_that_cannot_be_read_is_refused_with_the_reason() -> None:
    with pytest.raises(InvalidModel, match=r"cannot be read \(Input/output error\)"):
        check_model_file(Path("/proc/self/mem"))


def test_the_digest_follows_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"one")
    assert known_sha256(path) == known_sha256(path) == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"three")
    assert known_sha256(path) == hashlib.sha256(b"three").hexdigest()
