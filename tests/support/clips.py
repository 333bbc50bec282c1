"""Media for tests, made by code: a public-domain portrait in gentle motion, and a speech-like sound."""

import wave
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
from skimage import data

BgrImage = npt.NDArray[np.uint8]


@cache
def portrait() -> BgrImage:
    """Return NASA's public-domain portrait of Eileen Collins, BGR uint8 (512, 512, 3)."""
    return np.ascontiguousarray(data.astronaut()[..., ::-1])


def moving_portrait(index: int, width: int, height: int) -> BgrImage:
    """Return frame ``index`` of a gently swaying head, BGR uint8 (height, width, 3)."""
    scale = max(width / 512, height / 512) * (1.06 + 0.03 * np.sin(index / 17))
    angle = 2.0 * np.sin(index / 23)
    matrix = cv2.getRotationMatrix2D((224, 140), angle, scale)
    matrix[:, 2] += np.array([width * 0.5 - 224, height * 0.4 - 140])
    matrix[:, 2] += np.array([3 * np.sin(index / 11), 2 * np.cos(index / 13)]) * scale
    return np.asarray(
        cv2.warpAffine(portrait(), matrix, (width, height), borderMode=cv2.BORDER_REFLECT), np.uint8
    )


def write_video(
    path: Path,
    frames: list[BgrImage],
    fps: Fraction | int = 25,
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    aspect: Fraction = Fraction(0),
) -> Path:
    """Encode BGR frames, whose pixels have this ``aspect`` (0: unsaid), as a video without sound."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(fps), options=options or {"preset": "ultrafast"})
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.sample_aspect_ratio = aspect
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, format="bgr24")
            # several threads sometimes make a wrong pixel where their slices meet
            container.mux(stream.encode(picture.reformat(format=pix_fmt, threads=1)))
        container.mux(stream.encode(None))
    return path


def talking_head(
    path: Path, seconds: float = 2.0, fps: Fraction | int = 25, width: int = 320, height: int = 240
) -> Path:
    """Write a video of the swaying portrait; return its path."""
    count = max(1, round(seconds * fps))
    return write_video(path, [moving_portrait(i, width, height) for i in range(count)], fps)


def speech_like(seconds: float, rate: int = 16000, seed: int = 0) -> npt.NDArray[np.float32]:
    """Return syllables of a buzzing voice with pauses between them, float32 (samples,), within -1..1."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    pitch = 110 + 20 * np.sin(2 * np.pi * 0.7 * t)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    voice = sum(np.sin(k * phase) / k for k in range(1, 20))
    syllables = np.clip(np.sin(2 * np.pi * 3.3 * t), 0, None) ** 0.5 * (np.sin(2 * np.pi * 0.4 * t) > -0.7)
    signal = 0.25 * voice * syllables + 0.002 * rng.standard_normal(len(t))
    return np.clip(signal, -1, 1).astype(np.float32)


def write_wav(path: Path, signal: npt.NDArray[np.float32], rate: int = 16000, channels: int = 1) -> Path:
    """Write a 16-bit WAV with the same signal in every channel; return its path."""
    pcm = np.repeat((signal * 32767).astype("<i2")[:, None], channels, axis=1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm.tobytes())
    return path


def speech(path: Path, seconds: float = 2.0, rate: int = 16000, channels: int = 1) -> Path:
    """Write a WAV of the speech-like sound; return its path."""
    return write_wav(path, speech_like(seconds, rate), rate, channels)


def beginning(source: Path, path: Path, seconds: float) -> Path:
    """Write the first seconds of a WAV file; return its path."""
    with wave.open(str(source)) as whole, wave.open(str(path), "wb") as part:
        part.setparams(whole.getparams())
        part.writeframes(whole.readframes(round(seconds * whole.getframerate())))
    return path
