from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from unittest.mock import Mock

import av
import cv2
import numpy as np
import pytest

from app.errors import InvalidRequest
from app.faces.detector import load_detector
from app.faces.types import has_face
from app.media.frames import BgrImage
from tests.support.clips import moving_portrait, speech_like, write_video
from tests.support.packs import write_pack
from training import cutting
from training.cache import open_cache
from training.pack import load_pack
from training.prepare import prepare_pack

SIZE = (240, 240)


def frames(count: int) -> list[BgrImage]:
    return [moving_portrait(index, *SIZE) for index in range(count)]


def with_sound(path: Path, pictures: list[BgrImage], fps: int = 25) -> Path:
    """Write a video of ``pictures`` in which somebody speaks."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast"})
        video.height, video.width = pictures[0].shape[:2]
        video.pix_fmt = "yuv420p"
        audio = container.add_stream("aac", rate=16000, layout="mono")
        for picture in pictures:
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(video.encode(None))
        sound = speech_like(len(pictures) / fps)
        frame = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    return path


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    (folder / "eileen").mkdir()
    with_sound(folder / "eileen" / "speech.mp4", frames(50), fps=20)
    gap = [np.zeros((*SIZE, 3), np.uint8)] * 12
    write_video(folder / "mute.mp4", frames(30) + gap + frames(28))
    write_video(folder / "nobody.mp4", gap * 3)
    (folder / "broken.mp4").write_bytes(b"no video at all" * 50)
    (folder / "notes.txt").write_text("not a video")
    return folder


def test_videos_become_a_pack_and_what_cannot_be_used_is_said(videos: Path, tmp_path: Path) -> None:
    outcome = prepare_pack(videos, tmp_path / "pack", licence="public domain")
    assert set(outcome.left_out) == {"nobody.mp4", "broken.mp4"}
    assert outcome.speakers == 2
    pack = load_pack(tmp_path / "pack")
    by_group = {group: [clip for clip in pack.clips if clip.group == group] for group in ("eileen", "mute")}
    assert [clip.frames for clip in by_group["eileen"]] == [pytest.approx(62, abs=2)]
    assert by_group["eileen"][0].audio
    assert len(by_group["mute"]) == 2
    assert not any(clip.audio or clip.synced for clip in by_group["mute"])
    assert outcome.unsynced == [clip.file for clip in pack.clips if not clip.synced]
    assert {clip.licence for clip in pack.clips} == {"public domain"}


def test_the_pack_s_clips_show_the_face_and_keep_the_sound(videos: Path, tmp_path: Path) -> None:
    prepare_pack(videos, tmp_path / "pack", licence="public domain")
    pack = load_pack(tmp_path / "pack")
    cache = open_cache(pack, tmp_path / "cache")
    assert not cache.left_out
    assert (np.asarray(cache.presence) > 20).mean() > 0.9
    eileen = next(span for span in cache.spans if span.clip.group == "eileen")
    assert eileen.mel_columns / 80 == pytest.approx(eileen.frames / 25, abs=0.1)
    chin = np.asarray(cache.mesh_of(eileen))[:, 152, 1]
    assert chin.mean() == pytest.approx(0.85, abs=0.05)


def test_pixels_that_are_not_square_are_made_so_as_the_service_does(tmp_path: Path) -> None:
    squeezed = [np.asarray(cv2.resize(picture, (160, 240)), np.uint8) for picture in frames(5)]
    path = write_video(tmp_path / "a.mp4", squeezed, aspect=Fraction(3, 2))
    footage = cutting.follow_face(path, "anna", load_detector("blazeface"))
    assert (footage.info.layout.width, footage.info.layout.height) == SIZE
    assert has_face(footage.track.boxes).all()


def test_a_second_run_goes_on_where_the_first_stopped(videos: Path, tmp_path: Path) -> None:
    def stop(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    pack = tmp_path / "pack"
    with pytest.raises(KeyboardInterrupt):
        prepare_pack(videos, pack, licence="public domain", progress=stop)
    before = {path.name: path.stat().st_mtime_ns for path in pack.glob("*.mp4")}
    assert before
    assert prepare_pack(videos, pack, licence="public domain").clips == 3
    after = {path.name: path.stat().st_mtime_ns for path in pack.glob("*.mp4")}
    assert {name: after[name] for name in before} == before


def test_videos_are_added_to_a_pack_of_other_sets(videos: Path, tmp_path: Path) -> None:
    pack = write_pack(tmp_path / "pack", clips=2)
    assert prepare_pack(videos, pack, licence="public domain").clips == 2 + 3
    assert prepare_pack(videos, pack, licence="public domain").clips == 2 + 3
    assert {clip.set for clip in load_pack(pack).clips} == {"made", "videos"}


def test_videos_of_another_folder_are_added_to_those_that_the_pack_has(tmp_path: Path) -> None:
    pack, folders = tmp_path / "pack", (tmp_path / "one", tmp_path / "two")
    for folder in folders:
        folder.mkdir()
        write_video(folder / f"{folder.name}.mp4", frames(30))
        prepare_pack(folder, pack, licence=f"of {folder.name}")
    licences = {clip.group: clip.licence for clip in load_pack(pack).clips}
    assert licences == {"one": "of one", "two": "of two"}
    write_video(folders[1] / "two.mp4", [np.zeros((*SIZE, 3), np.uint8)] * 30)
    write_video(folders[1] / "three.mp4", frames(30))
    prepare_pack(folders[1], pack, licence="unknown")
    assert {clip.group for clip in load_pack(pack).clips} == {"one", "three"}


def test_what_a_pack_holds_keeps_its_order(tmp_path: Path) -> None:
    """Every so many-th clip may be held out: they must not become others when videos are added."""
    pack, folders = tmp_path / "pack", (tmp_path / "one", tmp_path / "two")
    for folder, names in zip(folders, ("bd", "c"), strict=True):
        folder.mkdir()
        for name in names:
            write_video(folder / f"{name}.mp4", frames(30))
        prepare_pack(folder, pack, licence="free")
    write_video(folders[0] / "a.mp4", frames(30))
    write_video(folders[0] / "b.mp4", frames(35))
    prepare_pack(folders[0], pack, licence="free")
    assert [(clip.group, clip.frames) for clip in load_pack(pack).clips] == [
        ("b", 35),
        ("d", 30),
        ("c", 30),
        ("a", 30),
    ]


def test_of_two_videos_with_one_name_the_last_counts_with_its_own_licence(tmp_path: Path) -> None:
    pack, folders = tmp_path / "pack", (tmp_path / "one", tmp_path / "two")
    gap = [np.zeros((*SIZE, 3), np.uint8)] * 12
    for folder, pictures in zip(folders, (frames(30) + gap + frames(28), frames(40)), strict=True):
        folder.mkdir()
        write_video(folder / "anna.mp4", pictures)
    for which, lengths in ((0, [30, 28]), (1, [40]), (0, [30, 28])):
        prepare_pack(folders[which], pack, licence=f"of {which}")
        clips = load_pack(pack).clips
        assert [(clip.frames, clip.licence) for clip in clips] == [(n, f"of {which}") for n in lengths]
        assert sorted(path.name for path in pack.glob("*.mp4")) == [clip.file for clip in clips]
        spans = open_cache(load_pack(pack), tmp_path / "cache").spans
        assert [span.frames for span in spans] == lengths


def test_of_what_is_being_replaced_a_pack_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack, videos = tmp_path / "pack", tmp_path / "videos"
    videos.mkdir()
    for name in ("anna", "ben"):
        write_video(videos / f"{name}.mp4", frames(30))
    prepare_pack(videos, pack, licence="free")
    write_video(videos / "anna.mp4", frames(40))
    with monkeypatch.context() as patched:
        patched.setattr(cutting, "_describe", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            prepare_pack(videos, pack, licence="bought")
    assert [clip.group for clip in load_pack(pack).clips] == ["ben"]
    prepare_pack(videos, pack, licence="bought")
    assert {clip.group: clip.frames for clip in load_pack(pack).clips} == {"ben": 30, "anna": 40}


def test_who_was_taken_out_of_a_pack_stays_out(tmp_path: Path) -> None:
    pack, videos = tmp_path / "pack", tmp_path / "videos"
    videos.mkdir()
    for name in ("anna", "ben"):
        write_video(videos / f"{name}.mp4", frames(30))
    prepare_pack(videos, pack, licence="free")
    (pack / "anna.000.mp4").unlink()
    assert prepare_pack(videos, pack, licence="free").speakers == 1
    assert [clip.group for clip in load_pack(pack).clips] == ["ben"]
    (pack / "ben.000.mp4").unlink()
    with pytest.raises(InvalidRequest, match="All clips were taken out"):
        prepare_pack(videos, pack, licence="free")


def test_a_pack_among_its_videos_is_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "anna.mp4", frames(30))
    with pytest.raises(InvalidRequest, match="would be taken for videos"):
        prepare_pack(tmp_path, tmp_path / "pack", licence="free")


def test_a_licence_that_is_stated_later_counts(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos" / "anna.mp4", frames(30))
    for stated, known in (
        ("unknown", "unknown"),
        ("CC BY 4.0", "CC BY 4.0"),
        ("free", "free"),
        ("unknown", "free"),
    ):
        prepare_pack(tmp_path / "videos", tmp_path / "pack", licence=stated)
        assert {clip.licence for clip in load_pack(tmp_path / "pack").clips} == {known}


def test_a_folder_without_usable_videos_is_refused(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    with pytest.raises(InvalidRequest, match="no videos"):
        prepare_pack(videos, tmp_path / "pack", licence="unknown")
    (videos / "broken.mp4").write_bytes(b"noise" * 100)
    with pytest.raises(InvalidRequest, match=r"broken\.mp4"):
        prepare_pack(videos, tmp_path / "pack", licence="unknown")
    write_video(videos / "glimpse.mp4", frames(20))
    with pytest.raises(InvalidRequest, match=r"glimpse\.mp4: No face is seen for a second"):
        prepare_pack(videos, tmp_path / "pack", licence="unknown")


@pytest.mark.parametrize("names", [("a.mp4", "a.mov"), ("a/b.mp4", "a--b.mp4")])
def test_videos_whose_clips_would_have_one_name_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    for name in names:
        (tmp_path / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "videos" / name).write_bytes(b"noise")
    with pytest.raises(InvalidRequest, match="would have clips of one name: rename one of them"):
        prepare_pack(tmp_path / "videos", tmp_path / "pack", licence="unknown")


def test_of_two_that_open_a_pack_at_once_one_decodes_it(tmp_path: Path) -> None:
    pack = load_pack(write_pack(tmp_path / "pack"))
    told: list[int] = []
    with ThreadPoolExecutor(2) as pool:
        opening = [
            pool.submit(open_cache, pack, tmp_path / "cache", lambda done, total: told.append(done))
            for _ in range(2)
        ]
        one, other = (task.result() for task in opening)
    assert told == [1, 2, 3]
    assert np.array_equal(one.frames, other.frames)
    assert np.asarray(one.frames).any(axis=(1, 2, 3)).all()
