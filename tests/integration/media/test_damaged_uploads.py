"""Whatever is wrong with an upload, it ends in an error of ours, never in one of FFmpeg's or Python's."""

import random
from contextlib import suppress
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import pytest

from app.errors import MouthpieceError
from app.media.limits import AudioLimits, VideoLimits
from app.media.probe import probe_audio, probe_video
from app.media.sound import decode_sound
from app.media.video import decode_frames
from tests.support.clips import moving_portrait, speech_like, write_video

VIDEO_LIMITS = VideoLimits(max_seconds=20, max_pixels=1_000_000)
AUDIO_LIMITS = AudioLimits(max_seconds=20)
VARIANTS = 25
EXTREMES = (b"\x00" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00")


def _video(path: Path, codec: str) -> Path:
    frames = [moving_portrait(i, 64, 48) for i in range(8)]
    return write_video(path, frames, 25, codec=codec, options={"g": "4"})


def _sound(path: Path, codec: str) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=48000)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(speech_like(0.3, 48000)[None], "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
        size = stream.codec_context.frame_size or 1024
        resampler = av.AudioResampler(stream.format, "mono", 48000, size)
        for piece in (*resampler.resample(frame), *resampler.resample(None), None):
            container.mux(stream.encode(piece))
    return path


def _damage(data: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(rng.choice([1, 3, 10, 50])):
        at = rng.randrange(min(len(damaged), rng.choice([200, 2000, len(damaged)])))
        kind = rng.randrange(4)
        if kind == 0:
            damaged[at] = rng.randrange(256)
        elif kind == 1:
            damaged[at : at + 4] = rng.choice(EXTREMES)
        elif kind == 2:
            del damaged[at : at + rng.randrange(1, 30)]
        else:
            damaged[at:at] = rng.randbytes(rng.randrange(1, 30))
    return bytes(damaged)


@pytest.mark.parametrize(
    ("codec", "suffix"), [("libx264", "mp4"), ("mpeg4", "avi"), ("mpeg1video", "mpg"), ("libx264", "mkv")]
)
def test_damaged_videos(tmp_path: Path, codec: str, suffix: str) -> None:
    whole, rng = _video(tmp_path / f"whole.{suffix}", codec).read_bytes(), random.Random(suffix)
    path = tmp_path / "upload"
    for _ in range(VARIANTS):
        path.write_bytes(_damage(whole, rng))
        with suppress(MouthpieceError):
            info = probe_video(path, VIDEO_LIMITS)
            for frame in islice(decode_frames(path, info, VIDEO_LIMITS), 100):
                assert len(frame) == info.layout.frame_bytes


@pytest.mark.parametrize(
    ("codec", "suffix"), [("pcm_s16le", "wav"), ("aac", "m4a"), ("libmp3lame", "mp3"), ("libopus", "webm")]
)
def test_damaged_sounds(tmp_path: Path, codec: str, suffix: str) -> None:
    whole, rng = _sound(tmp_path / f"whole.{suffix}", codec).read_bytes(), random.Random(suffix)
    path = tmp_path / "upload"
    for _ in range(VARIANTS):
        path.write_bytes(_damage(whole, rng))
        with suppress(MouthpieceError):
            probe_audio(path, AUDIO_LIMITS)
            sound = decode_sound(path, AUDIO_LIMITS, tmp_path / "track", tmp_path / "speech")
            assert len(sound.read_track(0, sound.samples)) == sound.samples > 0
