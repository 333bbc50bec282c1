import errno
import os
import secrets
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from app.errors import InvalidModel, InvalidRequest, ModelNotFound, StorageFull  # noqa: E402
from training.checkpoints import (  # noqa: E402
    load_checkpoint,
    load_weights,
    refuse_checkpoint,
    save_checkpoint,
)


def test_a_checkpoint_is_read_back(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.pt", {"stage": "wav2lip", "step": 3, "network": {"w": torch.ones(2)}})
    content = load_checkpoint(tmp_path / "c.pt", "wav2lip")
    assert content["step"] == 3
    assert torch.equal(content["network"]["w"], torch.ones(2))


def test_a_start_from_elsewhere_is_refused_beside_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    refuse_checkpoint(path, tmp_path / "other.pth")
    save_checkpoint(path, {"stage": "wav2lip", "step": 1})
    with pytest.raises(InvalidRequest, match=r"not from .*other\.pth"):
        refuse_checkpoint(path, tmp_path / "other.pth")


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.pt"
    save_checkpoint(path, {"stage": "wav2lip", "step": 1})

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFull, match="last one was kept"):
        save_checkpoint(path, {"stage": "wav2lip", "step": 2})
    assert load_checkpoint(path, "wav2lip")["step"] == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device without room")
def test_a_disk_that_fills_up_while_weights_are_written_leaves_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.pt"
    save_checkpoint(path, {"stage": "wav2lip", "step": 1})
    monkeypatch.setattr(secrets, "token_hex", lambda _: "own")
    (tmp_path / ".c.own.part.pt").symlink_to("/dev/full")
    with pytest.raises(StorageFull, match="last one was kept"):
        save_checkpoint(path, {"stage": "wav2lip", "step": 2, "network": {"w": torch.ones(1 << 20)}})
    assert load_checkpoint(path, "wav2lip")["step"] == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_stage_does_not_take_another_s_checkpoint(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.pt", {"stage": "expert"})
    with pytest.raises(InvalidModel, match="'expert'"):
        load_checkpoint(tmp_path / "c.pt", "wav2lip")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut short"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.pt").write_bytes(content)
    with pytest.raises(InvalidModel, match="damaged"):
        load_checkpoint(tmp_path / "c.pt", "wav2lip")


def test_a_missing_checkpoint_says_what_to_train(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="'speech' first"):
        load_checkpoint(tmp_path / "c.pt", "speech")


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    layer = torch.nn.Linear(2, 3)
    for other in (torch.nn.Linear(2, 4), torch.nn.Linear(2, 3, bias=False)):
        with pytest.raises(InvalidModel, match="another architecture"):
            load_weights(layer, other.state_dict(), tmp_path / "c.pt")
