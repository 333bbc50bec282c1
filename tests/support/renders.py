"""Renders without a model: frames that carry their number, encoded in segments, finished, decoded again."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from app.media.encoder import VideoFormat
from app.media.finish import finish
from app.media.fragments import encode_segment, write_init
from app.media.frames import FrameLayout, I420Frame
from app.media.limits import AudioLimits
from app.media.quality import EncoderSettings
from app.media.sound import Sound, decode_sound
from app.media.timing import Segment, frame_count
from tests.support.clips import speech

Samples = npt.NDArray[np.float32]
"""float32 (channels, samples)."""

ULTRAFAST = EncoderSettings("ultrafast", 23, 1)
VERYFAST = EncoderSettings("veryfast", 20, 1)
TINY = FrameLayout(64, 48)


def numbered_frame(layout: FrameLayout, number: int) -> I420Frame:
    """Return a grey frame whose brightness tells its number, modulo 20."""
    frame = np.full(layout.frame_bytes, 128, np.uint8)
    layout.planes(frame)[0][:] = 30 + 10 * (number % 20)
    return frame


def number_of(picture: av.VideoFrame) -> int:
    """Return the number, modulo 20, that :func:`numbered_frame` wrote into a picture."""
    luma = np.frombuffer(memoryview(picture.planes[0]), np.uint8)
    return round((int(np.median(luma[: picture.width])) - 30) / 10)


def plan(frames: int, sizes: Iterable[int]) -> list[Segment]:
    """Cut ``frames`` into segments of ``sizes``; the last size is used for all that is left."""
    segments: list[Segment] = []
    first, size, remaining_sizes = 0, 1, iter(sizes)
    while first < frames:
        size = next(remaining_sizes, size)
        count = min(size, frames - first)
        segments.append(Segment(len(segments), first, count, first + count == frames))
        first += count
    return segments


@dataclass(frozen=True)
class Render:
    """The files of a render of numbered frames."""

    init: Path
    fragments: list[Path]
    result: Path
    frames: int

    def stream(self, path: Path) -> Path:
        """Write to ``path`` what a client of the stream receives; return it."""
        path.write_bytes(b"".join(part.read_bytes() for part in (self.init, *self.fragments)))
        return path


def sound_of(folder: Path, seconds: float, rate: int = 16000, channels: int = 1) -> Sound:
    """Return the decoded speech-like sound of a WAV."""
    folder.mkdir(parents=True, exist_ok=True)
    wav = speech(folder / "speech.wav", seconds, rate, channels)
    return decode_sound(wav, AudioLimits(3600), folder / "track.s16", folder / "speech.f32")


def render(
    folder: Path,
    sound: Sound,
    fps: Fraction,
    sizes: Iterable[int] = (250,),
    layout: FrameLayout = TINY,
    settings: EncoderSettings = ULTRAFAST,
) -> Render:
    """Render numbered frames over ``sound``, the last segment first."""
    folder.mkdir(parents=True, exist_ok=True)
    video = VideoFormat(layout, fps)
    frames = frame_count(Fraction(sound.samples, sound.sample_rate), fps)
    segments = plan(frames, sizes)
    done = Render(
        folder / "init.mp4", [folder / f"{s.index}.m4s" for s in segments], folder / "result.mp4", frames
    )
    write_init(done.init, video, settings, sound)
    for segment, path in reversed(list(zip(segments, done.fragments, strict=True))):
        numbers = range(segment.first_frame, segment.first_frame + segment.frame_count)
        encode_segment(path, segment, (numbered_frame(layout, n) for n in numbers), video, settings, sound)
    finish(done.init, done.fragments, done.result)
    return done


def decode_pictures(path: Path) -> Iterator[av.VideoFrame]:
    """Decode the pictures of a file."""
    with av.open(str(path)) as container:
        yield from container.decode(container.streams.video[0])


def decode_samples(path: Path) -> Samples:
    """Decode the sound of a file, from time 0 on."""
    with av.open(str(path)) as container:
        return np.concatenate([f.to_ndarray() for f in container.decode(container.streams.audio[0])], axis=1)
