"""Cuts a clip in two: one half becomes the avatar; the other provides the words and the ground truth."""

import wave
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
import numpy.typing as npt
from av.error import FFmpegError

from app.errors import InvalidRequest, NoSound, UnsupportedMedia
from training.listen.talks import known_lags

RATE: Final = 16000
"""Of the sound, samples a second."""
_OPTIONS: Final = {"crf": "10", "preset": "veryfast"}
_LEAST_FRAMES: Final = 40

Sound = npt.NDArray[np.float32]
"""float32 (samples,), mono, 16 kHz, -1..1."""


@dataclass(frozen=True)
class Half:
    """One half of a clip: its picture without sound, and its sound."""

    picture: Path
    sound: Sound


@dataclass(frozen=True)
class Halves:
    """Both halves of a clip."""

    name: str
    fps: Fraction
    early: float
    """Seconds by which the picture comes before its own sound."""
    parts: tuple[Half, Half]


def cut(clip: Path, folder: Path) -> Halves:
    """Cut a clip into halves in ``folder``.

    Raises UnsupportedMedia if it is no video, InvalidRequest if it is too short to be cut, NoSound if it has
    no sound.
    """
    try:
        with av.open(str(clip)) as container:
            stream = container.streams.video[0]
            fps = Fraction(stream.average_rate or 25)
            count = sum(1 for _ in container.decode(stream))
    except (FFmpegError, IndexError) as error:
        raise UnsupportedMedia(f"{clip.name} cannot be read as a video.") from error
    half = count // 2
    if half < _LEAST_FRAMES // 2:
        raise InvalidRequest(
            f"{clip.name} has {count} frames, too few to be cut in two: give {_LEAST_FRAMES} or more."
        )
    pictures = (folder / f"{clip.stem}-0.mp4", folder / f"{clip.stem}-1.mp4")
    _write_pictures(clip, pictures, half, fps)
    sound, samples = _sound_of(clip), round(half / fps * RATE)
    parts = tuple(Half(picture, sound[k * samples : (k + 1) * samples]) for k, picture in enumerate(pictures))
    early = known_lags(clip.parent).get(clip.stem, 0.0)
    return Halves(clip.stem, fps, early, (parts[0], parts[1]))


def write_wav(path: Path, sound: Sound) -> Path:
    """Write a sound as a WAV file of 16 bits."""
    pcm = np.rint(np.clip(sound, -1, 1) * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm.tobytes())
    return path


def _write_pictures(clip: Path, paths: tuple[Path, Path], half: int, fps: Fraction) -> None:
    """Write the frames of both halves, ``half`` of them each, without sound."""
    with av.open(str(clip)) as container:
        frames = container.decode(video=0)
        for path in paths:
            with av.open(str(path), "w") as output:
                stream: av.VideoStream | None = None
                for index in range(half):
                    frame = next(frames)
                    if stream is None:
                        stream = output.add_stream("libx264", rate=fps, options=_OPTIONS)
                        stream.width, stream.height = frame.width // 2 * 2, frame.height // 2 * 2
                        stream.pix_fmt = "yuv420p"
                        context = stream.codec_context
                        context.color_range, context.colorspace = frame.color_range, frame.colorspace
                    frame.pts, frame.time_base = index, 1 / fps
                    frame.pict_type = av.video.frame.PictureType.NONE
                    output.mux(stream.encode(frame))
                assert stream is not None
                output.mux(stream.encode(None))


def _sound_of(clip: Path) -> Sound:
    """Return a clip's sound from the time of its first picture on."""
    with av.open(str(clip)) as container:
        if not container.streams.audio:
            raise NoSound(f"{clip.name} has no sound: give clips of people who talk.")
        resampler = av.AudioResampler("flt", "mono", RATE)
        picture, sound = container.streams.video[0], container.streams.audio[0]
        begin = [float((stream.start_time or 0) * (stream.time_base or 0)) for stream in (picture, sound)]
        parts = []
        for frame in [*container.decode(sound), None]:
            if frame is not None:
                frame.pts = None
            parts += [part.to_ndarray().reshape(-1) for part in resampler.resample(frame)]
    whole = np.concatenate([*parts, np.zeros(RATE)]).astype(np.float32)
    missing = round((begin[1] - begin[0]) * RATE)
    return np.concatenate([np.zeros(missing, np.float32), whole]) if missing > 0 else whole[-missing:]
