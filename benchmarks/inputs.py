"""What is rendered: the demo's clip at the sizes asked for, its speech at any length, a random checkpoint."""

import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np

from app.media.files import replacing
from app.media.frames import BgrImage

ROOT: Final = Path(__file__).parents[1]
CLIP: Final = ROOT / "demo/portrait.mp4"
SPEECH: Final = ROOT / "demo/speech.wav"
FOLDER: Final = ROOT / "out/bench"
"""Where inputs, avatars, results and the report lie; all of it may be deleted."""

CLIP_CRF: Final = "16"
WIDE: Final = 16 / 9


def clip(height: int, seconds: float) -> Path:
    """Return the demo's clip as 16:9 of ``height``, mirrored at its sides, forward and backward in turn."""
    path = FOLDER / f"portrait-{height}p-{seconds:g}s.mp4"
    if path.exists():
        return path
    with av.open(str(CLIP)) as source:
        stream = source.streams.video[0]
        rate = stream.average_rate
        assert rate is not None
        pictures = [_bgr(picture) for picture in source.decode(stream)]
    with replacing(path) as temporary, av.open(str(temporary), "w") as target:
        options = {"crf": CLIP_CRF, "preset": "veryfast"}
        output = target.add_stream("libx264", rate=rate, options=options)
        output.width, output.height, output.pix_fmt = _width(height), height, "yuv420p"
        for picture in _to_and_fro(pictures, round(seconds * rate)):
            target.mux(output.encode(av.VideoFrame.from_ndarray(_widened(picture, height), format="bgr24")))
        target.mux(output.encode())
    return path


def speech(seconds: float) -> Path:
    """Return the demo's speech, repeated or cut to ``seconds``."""
    path = FOLDER / f"speech-{seconds:g}s.wav"
    with wave.open(str(SPEECH)) as source:
        params, samples = source.getparams(), source.readframes(source.getnframes())
    wanted = round(seconds * params.framerate) * params.nchannels * params.sampwidth
    with wave.open(str(path), "wb") as target:
        target.setparams(params)
        target.writeframes((samples * (1 + wanted // len(samples)))[:wanted])
    return path


def checkpoint() -> Path:
    """Return a random checkpoint of the official network: time does not depend on weights. Needs torch."""
    from tests.support.checkpoints import random_checkpoint

    path = FOLDER / "official-random.pth"
    if not path.exists():
        with replacing(path) as temporary:
            random_checkpoint(temporary)
    return path


def _bgr(picture: av.VideoFrame) -> BgrImage:
    return np.asarray(picture.to_ndarray(format="bgr24"), np.uint8)


def _to_and_fro(pictures: list[BgrImage], count: int) -> Iterator[BgrImage]:
    cycle = pictures + pictures[-2:0:-1]
    return (cycle[index % len(cycle)] for index in range(count))


def _widened(picture: BgrImage, height: int) -> BgrImage:
    missing = round(picture.shape[0] * WIDE) - picture.shape[1]
    left = missing // 2
    wide = cv2.copyMakeBorder(picture, 0, 0, left, missing - left, cv2.BORDER_REFLECT)
    return np.asarray(cv2.resize(wide, (_width(height), height), interpolation=cv2.INTER_CUBIC), np.uint8)


def _width(height: int) -> int:
    return round(height * WIDE / 2) * 2
