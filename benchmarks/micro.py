"""The parts of a render, each on its own: engines, pasting, reading frames, x264's presets."""

import io
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from skimage.metrics import structural_similarity

from app.audio.windows import MelTrack
from app.avatars.avatar import Avatar, open_avatar
from app.avatars.builder import AvatarRequest
from app.avatars.crops import CropForm
from app.bench import Measured, random_inputs, timed
from app.media.encoder import VideoFormat, add_video_stream, encode_pictures
from app.media.frames import I420Frame, Plane
from app.media.probe import AudioLimits
from app.media.quality import EncoderSettings, Quality, encoder_settings
from app.media.sound import decode_sound
from app.rendering.compositor import Compositor
from app.settings import Settings
from app.wav2lip.arrays import FaceCrops
from app.wav2lip.engine import Engine
from app.wav2lip.openvino_engine import OpenVinoEngine
from app.workshop import Workshop
from benchmarks import inputs

_AVATAR: Final = "portrait"
_FRAMES: Final = 100
_COMPARED: Final = 10
"""Every so many frames are decoded again for the SSIM."""

_QUALITIES: Final[tuple[Quality, ...]] = ("draft", "standard", "high")
_PRESETS: Final = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium")
_CRFS: Final = (17, 20, 22, 23, 26)


def measure(*, official: bool, thorough: bool) -> Iterator[Measured]:
    """Measure the parts; ``official`` needs torch, ``thorough`` takes every preset and batch size."""
    workshop = Workshop.open(Settings(avatars_dir=inputs.FOLDER / "micro"))
    if not workshop.renderer.store.exists(_AVATAR):
        request = AvatarRequest(_AVATAR, inputs.clip(720, 8), "portrait.mp4")
        workshop.builder.build(request, lambda *_: None)
    renderer, form = workshop.renderer, CropForm(workshop.infer.face_size, workshop.infer.info.reference)
    with open_avatar(renderer.store, renderer.cache, _AVATAR, form) as avatar:
        frames, lines = _composites(workshop, avatar)
        yield from lines
        yield from _encoders(frames, avatar, thorough=thorough)
    if official:
        yield from _engines(thorough=thorough)


def _composites(workshop: Workshop, avatar: Avatar) -> tuple[list[I420Frame], list[Measured]]:
    """Make the frames of a render one stage after the other; tell the CPU time of each stage."""
    speech = inputs.speech(8)
    sound = decode_sound(speech, AudioLimits(60), inputs.FOLDER / "track", inputs.FOLDER / "speech")
    mel, times = MelTrack(sound), np.arange(_FRAMES) / 25
    mel.windows(times[:8], 0.0)
    frames = [np.zeros(avatar.layout.frame_bytes, np.uint8) for _ in range(_FRAMES)]
    crops, infer = np.array(avatar.crops[:_FRAMES]), workshop.infer
    windows, heard = _spent(lambda: mel.windows(times, infer.info.mouth_offset_ms))
    _, read = _spent(lambda: _read(avatar, frames))
    faces, drawn = _spent(lambda: infer.render(windows, crops, np.array(avatar.references[:_FRAMES])))
    _, pasted = _spent(lambda: _paste(avatar, frames, faces, crops))
    names = ("mel windows", "read of a cached frame", "default model", "paste")
    spent = zip(names, (heard, read, drawn, pasted), strict=True)
    return frames, [Measured("a frame at 720p", name, cost, "CPU ms") for name, cost in spent]


def _read(avatar: Avatar, frames: list[I420Frame]) -> None:
    for index, frame in enumerate(frames):
        avatar.frames.read_into(index, frame)


def _paste(avatar: Avatar, frames: list[I420Frame], faces: FaceCrops, crops: FaceCrops) -> None:
    compositor = Compositor(avatar.layout)
    for index, frame in enumerate(frames):
        box, mask = avatar.boxes[index], avatar.masks[index]
        compositor.paste(frame, faces[index], crops[index], box, mask)


def _spent(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.process_time()
    result = work()
    return result, 1000 * (time.process_time() - started) / _FRAMES


def _encoders(frames: list[I420Frame], avatar: Avatar, *, thorough: bool) -> Iterator[Measured]:
    for quality in _QUALITIES:
        yield _encoder(quality, encoder_settings(quality, 1), frames, avatar)
    if thorough:
        for settings in (EncoderSettings(preset, crf, 1) for preset in _PRESETS for crf in _CRFS):
            yield _encoder("x264", settings, frames, avatar)


def _encoder(part: str, settings: EncoderSettings, frames: list[I420Frame], avatar: Avatar) -> Measured:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = add_video_stream(container, VideoFormat(avatar.layout, Fraction(25)), settings)
        container.start_encoding()
        started = time.process_time()
        for packet in encode_pictures(stream, frames, avatar.layout):
            container.mux(packet)
        cost = 1000 * (time.process_time() - started) / len(frames)
    file.seek(0)
    with av.open(file, "r") as encoded:
        pictures = enumerate(encoded.decode(video=0))
        ssim = np.mean(
            [
                structural_similarity(_luma(picture), avatar.layout.planes(frames[i])[0], data_range=255)
                for i, picture in pictures
                if i % _COMPARED == _COMPARED // 2
            ]
        )
    rate = file.getbuffer().nbytes * 8 * 25 / len(frames) / 1e6
    name = f"{settings.preset} CRF {settings.crf:g}"
    return Measured(f"{part}, 720p", name, cost, "CPU ms a frame", f"SSIM {ssim:.4f}, {rate:.2f} Mbit/s")


def _luma(picture: av.VideoFrame) -> Plane:
    plane = picture.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width]


def _engines(*, thorough: bool) -> Iterator[Measured]:
    """Measure the official network on every engine: whole faces, and what a render shows of them."""
    for name, engine in _official_engines(inputs.checkpoint(), thorough=thorough):
        for count in sorted({1, engine.batch_size, 4 * engine.batch_size} if thorough else {8}):
            windows, crops = random_inputs(count, engine.face_size)
            face = np.repeat(crops, 2, axis=3).transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
            engine.infer(windows[:, None], face)
            rate, cpu = timed(partial(engine.infer, windows[:, None], face), count)
            label = f"{name} {engine.dtype}, batch {count}"
            yield Measured("official network", label, 1000 * cpu, "CPU ms a frame", f"{rate:.1f} frames/s")


def _official_engines(checkpoint: Path, *, thorough: bool) -> Iterator[tuple[str, Engine]]:
    from app.wav2lip.conversion import converted
    from app.wav2lip.torch_engine import TorchEngine

    whole, lower = converted(checkpoint), converted(checkpoint, lower_rows=True)
    yield "OpenVINO, whole", OpenVinoEngine(whole)
    yield "OpenVINO, lower rows", OpenVinoEngine(lower)
    if not thorough:
        return
    from app.wav2lip.onnxruntime_engine import OnnxRuntimeEngine

    yield "ONNX Runtime, whole", OnnxRuntimeEngine(whole, "fp32", device="cpu")
    yield "ONNX Runtime, lower rows", OnnxRuntimeEngine(lower, "fp32", device="cpu")
    yield "torch, whole", TorchEngine(checkpoint, "fp32", device="cpu")
    yield "torch, lower rows", TorchEngine(checkpoint, "fp32", device="cpu", lower_rows=True)
