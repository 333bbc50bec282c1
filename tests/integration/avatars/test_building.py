import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from app.avatars import arrays, store
from app.avatars import builder as building
from app.avatars.avatar import open_avatar
from app.avatars.builder import AvatarBuilder, AvatarRequest
from app.avatars.crops import CROPS, LANDMARKS, MASKS, CropForm
from app.avatars.store import FRAMES, PREVIEW, SOURCE
from app.errors import AvatarDamaged, AvatarExists, JobCanceled, NoFace
from app.faces import networks
from app.media import digests
from app.media.decoder import DecoderHere
from app.media.limits import VideoLimits
from app.media.probe import VideoInfo
from app.media.treatment import Treatment
from app.progress import Alive
from tests.support import clips
from tests.support.avatars import FORM, builder, no_progress

FRAME_COUNT = 10


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.talking_head(tmp_path_factory.mktemp("video") / "head.mp4", FRAME_COUNT / 25)


@pytest.fixture(scope="module")
def built(video: Path, tmp_path_factory: pytest.TempPathFactory) -> AvatarBuilder:
    made = builder(tmp_path_factory.mktemp("built"))
    made.build(AvatarRequest("anna", video, "Anna.mp4"), no_progress)
    return made


@pytest.fixture
def anna(built: AvatarBuilder, tmp_path: Path) -> AvatarBuilder:
    """A builder with an avatar of its own to damage."""
    shutil.copytree(built.store.root, tmp_path, dirs_exist_ok=True)
    return builder(tmp_path)


def test_the_manifest_tells_the_video(built: AvatarBuilder) -> None:
    manifest = built.store.manifest("anna")
    assert (manifest.width, manifest.height, float(manifest.fps)) == (320, 240, 25.0)
    assert (manifest.frame_count, manifest.face_frames) == (FRAME_COUNT, FRAME_COUNT)
    assert manifest.source.filename == "Anna.mp4"


def test_the_source_is_kept_untouched_and_a_preview_is_drawn(built: AvatarBuilder, video: Path) -> None:
    folder = built.store.path("anna")
    assert (folder / SOURCE).read_bytes() == video.read_bytes()
    assert (folder / PREVIEW).read_bytes().startswith(b"\xff\xd8\xff")


def test_a_video_that_does_not_say_how_long_it_is_keeps_to_the_budget(
    anna: AvatarBuilder, video: Path
) -> None:
    class Unsaid(DecoderHere):
        def probe(self, video: Path, limits: VideoLimits, treatment: Treatment, alive: Alive) -> VideoInfo:
            return replace(super().probe(video, limits, treatment, alive), frame_count=1, duration=0.0)

    cached = anna.store.path("anna") / FRAMES
    assert cached.exists()
    small = builder(anna.store.root, cache_bytes=cached.stat().st_size * 3 // 2)
    seen = []
    replace(small, decoder=Unsaid()).build(
        AvatarRequest("ben", video, "Ben.mp4"),
        no_progress,
        lambda manifest, boxes: seen.append(cached.exists()),
    )
    assert seen == [False]


def test_a_video_that_takes_long_to_copy_is_waited_for_with_a_sign_of_life(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, waiting, after = builder(tmp_path), threading.Event(), 0

    def slowly(source: Path, target: Path, stopped: threading.Event) -> str:
        assert waiting.wait(timeout=60)
        return arrays.copy_hashed(source, target, stopped)

    def told(done: int, total: int) -> None:
        nonlocal after
        after += any(tmp_path.glob(f".new-*/{LANDMARKS}"))
        if after == 3:
            waiting.set()

    monkeypatch.setattr(building, "copy_hashed", slowly)
    monkeypatch.setattr(building, "_ALIVE_SECONDS", 0.01)
    manifest = made.build(AvatarRequest("anna", video, "a"), told)
    assert manifest.source.sha256 == digests.sha256_of(video)


def test_a_build_that_fails_ends_the_copy_of_its_video_with_a_sign_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = clips.write_video(tmp_path / "a.mp4", [np.full((96, 128, 3), 90, np.uint8)] * 5)
    stopping, told_on, after = threading.Event(), threading.Event(), 0

    def slowly(source: Path, target: Path, stopped: threading.Event) -> str:
        assert stopped.wait(timeout=60)
        stopping.set()
        assert told_on.wait(timeout=60)
        return arrays.copy_hashed(source, target, stopped)

    def told(done: int, total: int) -> None:
        nonlocal after
        after += stopping.is_set()
        if after == 3:
            told_on.set()

    monkeypatch.setattr(building, "copy_hashed", slowly)
    monkeypatch.setattr(building, "_ALIVE_SECONDS", 0.01)
    made = builder(tmp_path / "avatars")
    with pytest.raises(NoFace):
        made.build(AvatarRequest("anna", video, "a"), told)
    assert told_on.is_set()
    assert not list(made.store.root.iterdir())


def test_the_arrays_have_one_row_a_frame(built: AvatarBuilder) -> None:
    with open_avatar(built.store, built.cache, "anna", FORM) as avatar:
        assert avatar.faces is not None
        assert avatar.faces.crops.shape == (FRAME_COUNT, 96, 96, 3)
        assert avatar.faces.masks.shape == (FRAME_COUNT, 96, 96)
        assert avatar.boxes.shape == (FRAME_COUNT, 4)
        assert avatar.faces.masks[:, :48].max() == 0
        assert (avatar.faces.masks.max(axis=(1, 2)) == 255).all()


def test_progress_ends_at_all_frames(video: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    builder(tmp_path).build(AvatarRequest("anna", video, "a"), lambda done, total: told.append((done, total)))
    assert told[-1] == (FRAME_COUNT, FRAME_COUNT)
    assert told == sorted(told)


class _Unhurried(DecoderHere):
    """Opens a video when there is ``something`` to wait for no more."""

    def __init__(self, something: threading.Semaphore, times: int) -> None:
        self._something, self._times = something, times

    def probe(self, video: Path, limits: VideoLimits, treatment: Treatment, alive: Alive) -> VideoInfo:
        assert all(self._something.acquire(timeout=60) for _ in range(self._times))
        return super().probe(video, limits, treatment, alive)


def test_networks_are_compiled_once_and_while_the_first_video_is_opened(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks._compile.cache_clear()
    made, compiled, compile_model = builder(tmp_path), threading.Semaphore(0), ov.Core.compile_model

    def noted(*arguments: object) -> ov.CompiledModel:
        model = compile_model(*arguments)  # type: ignore[arg-type]
        compiled.release()
        return model

    monkeypatch.setattr(ov.Core, "compile_model", noted)
    made = replace(made, decoder=_Unhurried(compiled, 4))
    made.build(AvatarRequest("anna", video, "a"), no_progress)
    assert not compiled.acquire(blocking=False)


def test_a_video_without_a_face_is_refused_and_nothing_is_stored(tmp_path: Path) -> None:
    blank = clips.write_video(tmp_path / "blank.mp4", [np.full((96, 128, 3), 90, np.uint8)] * 5)
    made, told = builder(tmp_path / "avatars"), list[tuple[int, int]]()
    with pytest.raises(NoFace):
        made.build(AvatarRequest("anna", blank, "b"), lambda done, total: told.append((done, total)))
    assert list(made.store.root.iterdir()) == []
    turns = told[max(at for at, (done, _) in enumerate(told) if done) + 1 :]
    assert turns.count((0, 0)) == 5 * 4, "as if it were almost done while it is turned this way and that"


def test_canceling_in_the_middle_leaves_nothing(video: Path, tmp_path: Path) -> None:
    def cancel(done: int, total: int) -> None:
        if done == 3:
            raise JobCanceled("enough")

    made = builder(tmp_path)
    with pytest.raises(JobCanceled):
        made.build(AvatarRequest("anna", video, "head.mp4"), cancel)
    assert list(tmp_path.iterdir()) == []


def test_a_taken_id_is_refused(built: AvatarBuilder, video: Path) -> None:
    with pytest.raises(AvatarExists):
        built.build(AvatarRequest("anna", video, "head.mp4"), no_progress)


def test_deleted_frames_are_rebuilt_exactly(anna: AvatarBuilder) -> None:
    frames = anna.store.path("anna") / FRAMES
    before = frames.read_bytes()
    frames.unlink()
    open_avatar(anna.store, anna.cache, "anna", FORM).close()
    assert frames.read_bytes() == before


def test_of_two_that_rebuild_an_avatar_at_a_time_each_has_all_of_it(anna: AvatarBuilder) -> None:
    folder, half_way = anna.store.path("anna"), threading.Barrier(2, timeout=60)
    before = {name: (folder / name).read_bytes() for name in (FRAMES, CROPS, MASKS)}
    for name in before:
        (folder / name).unlink()

    def open_and_read() -> bytes:
        met: list[int] = []

        def alive() -> None:
            if not met:
                met.append(half_way.wait())

        with open_avatar(anna.store, anna.cache, "anna", FORM, alive) as avatar:
            frame = np.empty(anna.store.manifest("anna").frame_bytes, np.uint8)
            avatar.frames.read_into(FRAME_COUNT - 1, frame)
            return frame.tobytes()

    with ThreadPoolExecutor(2) as pool:
        frames = [future.result() for future in [pool.submit(open_and_read) for _ in range(2)]]
    assert frames[0] == frames[1] == before[FRAMES][-len(frames[0]) :]
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert not list(folder.glob(".*"))


def test_damaged_crops_and_masks_are_cut_anew(anna: AvatarBuilder) -> None:
    folder = anna.store.path("anna")
    before = {name: (folder / name).read_bytes() for name in (CROPS, MASKS)}
    (folder / CROPS).write_bytes(before[CROPS][:-1] + bytes([before[CROPS][-1] ^ 1]))
    (folder / MASKS).unlink()
    open_avatar(anna.store, anna.cache, "anna", FORM).close()
    assert {name: (folder / name).read_bytes() for name in (CROPS, MASKS)} == before


def test_a_model_with_larger_faces_gets_larger_crops(anna: AvatarBuilder) -> None:
    with open_avatar(anna.store, anna.cache, "anna", CropForm(128)) as avatar:
        assert avatar.faces is not None
        assert avatar.faces.crops.shape == (FRAME_COUNT, 128, 128, 3)
    assert anna.store.manifest("anna").face_size == 128


def test_a_model_that_asks_for_closed_mouths_is_shown_them(anna: AvatarBuilder) -> None:
    with open_avatar(anna.store, anna.cache, "anna", CropForm(96, "closed")) as avatar:
        assert avatar.faces is not None
        references, crops = np.array(avatar.faces.references), np.array(avatar.faces.crops)
    assert references.shape == (FRAME_COUNT, 96, 96, 3)
    # The portrait's mouth never moves: laid onto a frame's own head, another frame is nearly the same.
    far = np.abs(references.astype(int) - crops).mean()
    assert far < 4
    assert anna.store.manifest("anna").reference == "closed"


def test_without_such_a_wish_the_reference_is_the_frame_itself(built: AvatarBuilder) -> None:
    with open_avatar(built.store, built.cache, "anna", FORM) as avatar:
        assert avatar.faces is not None
        assert (avatar.faces.references[3] == avatar.faces.crops[3]).all()


def test_damaged_landmarks_are_said_so(anna: AvatarBuilder) -> None:
    path = anna.store.path("anna") / LANDMARKS
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(AvatarDamaged):
        open_avatar(anna.store, anna.cache, "anna", FORM)


def test_a_job_is_alive_while_the_disk_takes_its_avatar(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, told = threading.Event(), threading.Event()

    def sync(path: Path) -> None:
        waiting.set()
        told.wait(30)

    def progress(done: int, total: int) -> None:
        if waiting.is_set():
            told.set()

    monkeypatch.setattr(store, "_sync", sync)
    monkeypatch.setattr(store, "_SIGN_SECONDS", 0.01)
    builder(tmp_path).build(AvatarRequest("anna", video, "a"), progress)
    assert told.is_set()
