import json
from pathlib import Path

import av
import numpy as np
import pytest

from app.avatars.manifest import check_avatar_id
from app.errors import InvalidRequest, NoFace
from tests.support.clips import moving_portrait, speech_like
from tests.support.onnx_models import TinyModel
from training.evaluation.halves import RATE, cut
from training.evaluation.judge import judge
from training.evaluation.mouths import pictures, read_mouths
from training.evaluation.report import as_table, write_json
from training.evaluation.scores import score
from training.evaluation.service import Service

FRAMES = 50


def write_clip(path: Path, *, sound: bool = True) -> Path:
    """Write the portrait swaying for two seconds, with a speech-like sound."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        audio = container.add_stream("aac", rate=RATE, layout="mono") if sound else None
        for index in range(FRAMES):
            picture = av.VideoFrame.from_ndarray(moving_portrait(index, 320, 240), format="bgr24")
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        if audio:
            samples = speech_like(FRAMES / 25)[None]
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = RATE, 0
            container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    return path


def test_a_clip_is_cut_into_halves_of_its_own_frames_and_sound(tmp_path: Path) -> None:
    (tmp_path / "lags.json").write_text(json.dumps({"anna": 0.04}))
    halves = cut(write_clip(tmp_path / "anna.mp4"), tmp_path)
    assert halves.early == 0.04
    assert halves.fps == 25
    whole = list(pictures(tmp_path / "anna.mp4"))
    for index, half in enumerate(halves.parts):
        shown = list(pictures(half.picture))
        assert len(shown) == FRAMES // 2
        assert len(half.sound) == RATE
        first = whole[index * FRAMES // 2].astype(int)
        assert np.abs(shown[0] - first).mean() < 3
        with av.open(str(half.picture)) as container:
            assert not container.streams.audio
    heard = np.concatenate([half.sound for half in halves.parts])
    assert np.corrcoef(heard, speech_like(2.0))[0, 1] > 0.95


def test_a_video_beside_itself_is_perfect(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "anna.mp4")
    truth = read_mouths(clip)
    result = score(read_mouths(clip, limit=len(truth.frames), canon=truth.canon), truth)
    assert (result.lag, result.frames) == (0, FRAMES)
    assert (result.best, result.sharpness, result.pop) == pytest.approx((1, 1, 1), abs=1e-6)


def test_clips_of_similar_names_have_avatars_of_their_own(tmp_path: Path) -> None:
    class Recorded(Service):
        """Notes which avatars it is asked for, and finds no face in any."""

        def __init__(self) -> None:
            self.asked: list[str] = []

        def make_avatar(self, name: str, video: Path) -> None:
            check_avatar_id(name)
            self.asked.append(name)
            raise NoFace("none")

    service = Recorded()
    clips = [write_clip(tmp_path / f"{name}.mp4") for name in ("anna b", "anna-b", "Änna")]
    with pytest.raises(InvalidRequest, match="None of the 3 clips"):
        judge(service, clips, tmp_path / "report")
    assert len(set(service.asked)) == 3


@pytest.mark.slow
def test_any_model_is_judged_both_ways_round_and_shown(tmp_path: Path) -> None:
    clips = [write_clip(tmp_path / "anna.mp4"), write_clip(tmp_path / "mute.mp4", sound=False)]
    service = Service(TinyModel().write(tmp_path / "tiny.onnx"), tmp_path / "service")
    verdict = judge(service, clips, tmp_path / "report")
    assert [row.name for row in verdict.rows] == ["anna-0", "anna-1"]
    assert "has no sound" in verdict.left_out["mute.mp4"]
    for row in verdict.rows:
        assert row.scores.frames == FRAMES // 2
        assert set(row.wordless) == {"silence", "noise", "hum", "music"}
        assert row.sheet.stat().st_size > 10_000
        assert row.strip.stat().st_size > 10_000
    table = as_table(verdict)
    assert "| anna-1 |" in table
    assert "| median |" in table
    written = json.loads(write_json(tmp_path / "scores.json", verdict).read_text())
    assert set(written["halves"]) == {"anna-0", "anna-1"}
    assert written["medians"]["sharpness"] == pytest.approx(verdict.medians()["sharpness"], abs=1e-4)
    assert not list((tmp_path / "report").glob("*tried*"))
