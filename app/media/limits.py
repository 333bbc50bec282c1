"""What of an upload is accepted: length, size, sample rate. Each check raises the error that names its limit.

Whoever reads a file asks here twice: with what its header says, before anything is decoded
(:mod:`app.media.probe`), and with what was decoded, for a header may lie.
"""

import sys
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from app.errors import MediaTooLong, NotAudio, TooManyFrames, TooManyPixels
from app.media.containers import refuse
from app.media.timing import frame_count

MAX_SIDE: Final = 16_384
"""The widest and the highest picture that x264 encodes, pixels."""
MIN_SAMPLE_RATE: Final = 4_000
MAX_SAMPLE_RATE: Final = 384_000
"""The sample rates that are read, Hz: with them a second of sound becomes twelve seconds' worth at most."""
MAX_CHANNELS: Final = 24
"""As many as 22.2 surround sound has."""
MAX_FRAME_SAMPLES: Final = 1 << 21
"""Most samples, of all channels, that a decoder may give at once; the longest of FLAC has a quarter of it."""


@dataclass(frozen=True)
class VideoLimits:
    """What is accepted as a video: ``max_seconds`` of length, ``max_pixels`` in a picture."""

    max_seconds: float
    max_pixels: int


@dataclass(frozen=True)
class AudioLimits:
    """What is accepted as sound: ``max_seconds`` of length, for a video of ``max_frames`` frames at most."""

    max_seconds: float
    max_frames: int = sys.maxsize
    fps: Fraction | None = None
    """Frame rate of a video that will be as long as the sound; None: its length is not the sound's."""
    used_seconds: Fraction | None = None
    """How much of the sound is used; what comes after it is not decoded. None: all of it."""
    counts_rest: bool = True
    """Whether what comes after that is counted."""


def check_pixels(width: int, height: int, limits: VideoLimits) -> None:
    """Raise TooManyPixels for a picture larger than the limit, or one side of which is."""
    if max(width, height) > MAX_SIDE:
        raise TooManyPixels(
            f"The picture size is {width}x{height}; neither side may have more than {MAX_SIDE} pixels. "
            "Scale it down and send it again."
        )
    if width * height > limits.max_pixels:
        raise TooManyPixels(
            f"The picture size is {width}x{height}, {width * height} pixels; the limit is "
            f"{limits.max_pixels}. Scale it down and send it again."
        )


def check_squared(width: int, height: int, stored: tuple[int, int], limits: VideoLimits) -> None:
    """Raise TooManyPixels for a picture that is too large once its pixels are square.

    ``stored`` are its width and height in the file.
    """
    if width * height > limits.max_pixels:
        raise TooManyPixels(
            f"The picture size is {stored[0]}x{stored[1]}, but its pixels are not square: with square ones "
            f"it is {width}x{height}, {width * height} pixels; the limit is {limits.max_pixels}. Scale it "
            "down and send it again."
        )


def check_seconds(seconds: float | Fraction, max_seconds: float, what: str) -> None:
    """Raise MediaTooLong if ``what`` ("video", "audio") lasts longer than the limit."""
    if seconds > max_seconds:
        raise MediaTooLong(
            f"The {what} lasts {float(seconds):.1f} s; the limit is {max_seconds:g} s. Send a shorter one."
        )


def check_length(seconds: float | Fraction, limits: AudioLimits) -> None:
    """Raise MediaTooLong or TooManyFrames for a sound that lasts longer than the limits allow."""
    check_seconds(seconds, limits.max_seconds, "audio")
    if limits.fps is not None:
        check_frames(frame_count(seconds, limits.fps), limits)


def check_frames(frames: int, limits: AudioLimits) -> None:
    """Raise TooManyFrames for a render that would have more frames than the limit."""
    if frames > limits.max_frames:
        raise TooManyFrames(
            f"The video would have {frames} frames; the limit is {limits.max_frames}. Send shorter "
            "audio, or request a lower frame rate."
        )


def check_sound(rate: int, channels: int) -> None:
    """Raise NotAudio for sound of a sample rate or a number of channels that is not read."""
    if not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
        raise refuse(
            NotAudio,
            f"The audio has {rate} samples per second; accepted are {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE}.",
        )
    if channels > MAX_CHANNELS:
        raise refuse(NotAudio, f"The audio has {channels} channels; up to {MAX_CHANNELS} are accepted.")
