"""Writes a clip of a pack: 128x128 H.264 at 25 frames a second, mono 16 kHz AAC."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np

from app.media.files import replacing
from app.media.frames import BgrImage
from app.media.sound import SPEECH_RATE, SpeechSamples
from training.pack import CROP_SIZE, FPS

_VIDEO_OPTIONS: Final = {"crf": "16", "preset": "veryfast"}
_AUDIO_BIT_RATE: Final = 64_000


def write_clip(path: Path, frames: Iterable[BgrImage], speech: SpeechSamples | None) -> None:
    """Write ``frames`` (128, 128, 3) and their sound, if there is any, to ``path``."""
    with replacing(path) as temporary, av.open(str(temporary), "w") as container:
        video = container.add_stream("libx264", rate=Fraction(FPS), options=_VIDEO_OPTIONS)
        video.width = video.height = CROP_SIZE
        video.pix_fmt = "yuv420p"
        audio = None
        if speech is not None:
            audio = container.add_stream("aac", rate=SPEECH_RATE, layout="mono")
            audio.bit_rate = _AUDIO_BIT_RATE
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="bgr24")
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        if audio is not None and speech is not None:
            sound = av.AudioFrame.from_ndarray(speech[None].astype(np.float32), format="fltp", layout="mono")
            sound.sample_rate = SPEECH_RATE
            container.mux(audio.encode(sound))
            container.mux(audio.encode(None))
