"""Volumes that are small, full or only read, and videos that would fill them."""

import shutil
import tempfile
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

import numpy as np
import pytest

from app.avatars.avatar import open_avatar
from app.avatars.builder import AvatarRequest
from app.avatars.store import FRAMES
from app.errors import StorageFull, StorageReadOnly, TooManyFrames
from app.media.files import replacing
from app.media.frame_file import write_frames
from app.media.limits import AudioLimits
from app.media.sound import decode_sound
from app.mouths.study import STUDY
from app.volume import room
from tests.support import clips
from tests.support.avatars import FORM, builder, no_progress
from tests.support.volumes import make_read_only, volume


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a talking head: 5.8 MB of frames."""
    return clips.talking_head(tmp_path_factory.mktemp("clips") / "head.mp4", 2.0)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    with volume(tmp_path / "small", 12) as path:
        yield path


def test_what_a_video_takes_is_held_against_the_budget_before_it_is_decoded(
    tmp_path: Path, video: Path
) -> None:
    made = builder(tmp_path / "avatars", cache_bytes=5_000_000)
    with pytest.raises(TooManyFrames):
        made.build(AvatarRequest("anna", video, "head.mp4"), lambda done, total: pytest.fail("decoded"))
    assert list((tmp_path / "avatars").iterdir()) == []


def test_a_header_that_promised_less_does_not_go_beyond_the_budget(tmp_path: Path) -> None:
    frames = write_frames(repeat([np.zeros(600, np.uint8)]), tmp_path / "frames", 1000)
    next(frames)
    with pytest.raises(TooManyFrames):
        next(frames)


def test_a_video_that_would_fill_the_volume_is_refused_and_leaves_nothing(small: Path, video: Path) -> None:
    (small / "filler").write_bytes(bytes(6 << 20))
    with pytest.raises(StorageFull):
        builder(small / "avatars").build(AvatarRequest("anna", video, "head.mp4"), no_progress)
    assert list((small / "avatars").iterdir()) == []


def test_a_share_of_the_volume_stays_free(small: Path, tmp_path: Path) -> None:
    audio = clips.speech(tmp_path / "long.wav", 150.0)
    with pytest.raises(StorageFull):
        decode_sound(audio, AudioLimits(3600), small / "track", small / "speech")
    assert list(small.iterdir()) == []
    (small / "filler").write_bytes(bytes(room(small) + 1))
    assert shutil.disk_usage(small).free > 0
    with pytest.raises(StorageFull), replacing(small / "fragment"):
        pytest.fail("begun")


def test_frames_that_were_dropped_are_decoded_for_once_on_a_volume_that_is_only_read(
    small: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker, scratch = builder(small), tmp_path / "scratch"
    manifest = maker.build(AvatarRequest("anna", video, "head.mp4"), no_progress)
    kept = (small / "anna" / FRAMES).read_bytes()
    (small / "anna" / FRAMES).unlink()
    (small / "anna" / STUDY).unlink()
    make_read_only(small)
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))

    with open_avatar(maker.store, maker.cache, "anna", FORM) as avatar:
        frame = np.empty(manifest.frame_bytes, np.uint8)
        for index in (0, manifest.frame_count - 1):
            avatar.frames.read_into(index, frame)
            assert frame.tobytes() == kept[index * frame.nbytes :][: frame.nbytes]
    assert list(scratch.iterdir()) == []


def test_a_volume_that_is_only_read_serves_renders_and_says_why_nothing_else_works(
    small: Path, video: Path
) -> None:
    maker = builder(small)
    manifest = maker.build(AvatarRequest("anna", video, "head.mp4"), no_progress)
    make_read_only(small)

    with open_avatar(maker.store, maker.cache, "anna", FORM) as avatar:
        frame = np.empty(manifest.frame_bytes, np.uint8)
        avatar.frames.read_into(0, frame)
    assert frame.any()
    assert maker.store.sweep() == 0
    with pytest.raises(StorageReadOnly):
        maker.build(AvatarRequest("ben", video, "head.mp4"), no_progress)
    with pytest.raises(StorageReadOnly):
        maker.store.delete("anna")
