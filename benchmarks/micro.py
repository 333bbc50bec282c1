"""The parts of a render, each on its own: engines, pasting, reading frames, x264's presets."""

import io
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import av
import numpy as np
from skimage.metrics import structural_similarity

from app.avatars.builder import AvatarRequest
from app.bench import Measured, random_inputs, timed
from app.media.encoder import VideoFormat, add_video_stream, encode_pictures
from app.media.frame_file import FrameReader
from app.media.frames import FrameLayout, I420Frame, Plane
from app.media.quality import EncoderSettings, Quality, encoder_settings
from app.rendering.mouths import MouthRun
from app.rendering.renderer import RenderRequest
from app.rendering.stages import StageSeconds
from app.rendering.workspace import Workspace
from app.settings import Settings
from app.wav2lip.engine import Engine
from app.wav2lip.openvino_engine import OpenVinoEngine
from app.workshop import Workshop
from benchmarks import inputs

_AVATAR: Final = "portrait"
_FRAMES: Final = 100
_SPEECH_SECONDS: Final = 8
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
    frames, layout, lines = _composites(workshop)
    yield from lines
    yield from _encoders(frames, layout, thorough=thorough)
    if official:
        yield from _engines(thorough=thorough)


def _composites(workshop: Workshop) -> tuple[list[I420Frame], FrameLayout, list[Measured]]:
    """Make the frames of a render one stage after the other; tell the CPU time of each stage."""
    request, seconds = RenderRequest(_AVATAR, inputs.speech(_SPEECH_SECONDS)), StageSeconds()
    with (
        TemporaryDirectory(dir=inputs.FOLDER) as folder,
        workshop.renderer.open(request, Workspace(Path(folder)), lambda: None) as render,
    ):
        maker = render.maker
        layout, sources = maker.avatar.layout, [maker.timeline.avatar_frame(i) for i in range(_FRAMES)]
        frames = [np.empty(layout.frame_bytes, np.uint8) for _ in sources]
        read = _spent(lambda: _read(maker.avatar.frames, sources, frames))
        run = maker.mouths.over(range(_FRAMES), seconds, lambda: None)
        put = _spent(lambda: _put(run, maker.batch_size, frames, sources))
    stages = {"listen": seconds.listen, "model": seconds.model, "composite": seconds.composite}
    note = ", ".join(f"{name} {1000 * spent / _FRAMES:.2f} ms" for name, spent in stages.items())
    part = "a frame at 720p"
    return (
        frames,
        layout,
        [
            Measured(part, "read of a cached frame", read, "CPU ms"),
            Measured(part, "mouth of the default model", put, "CPU ms", f"by the clock: {note}"),
        ],
    )


def _read(reader: FrameReader, sources: list[int], frames: list[I420Frame]) -> None:
    for source, frame in zip(sources, frames, strict=True):
        reader.read_into(source, frame)


def _put(run: MouthRun, batch: int, frames: list[I420Frame], sources: list[int]) -> None:
    for start in range(0, _FRAMES, batch):
        part = slice(start, start + batch)
        run.put(frames[part], range(_FRAMES)[part], sources[part])


def _spent(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return 1000 * (time.process_time() - started) / _FRAMES


def _encoders(frames: list[I420Frame], layout: FrameLayout, *, thorough: bool) -> Iterator[Measured]:
    for quality in _QUALITIES:
        yield _encoder(quality, encoder_settings(quality, 1), frames, layout)
    if thorough:
        for settings in (EncoderSettings(preset, crf, 1) for preset in _PRESETS for crf in _CRFS):
            yield _encoder("x264", settings, frames, layout)


def _encoder(part: str, settings: EncoderSettings, frames: list[I420Frame], layout: FrameLayout) -> Measured:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = add_video_stream(container, VideoFormat(layout, Fraction(25)), settings)
        container.start_encoding()
        started = time.process_time()
        for packet in encode_pictures(stream, frames, layout):
            container.mux(packet)
        cost = 1000 * (time.process_time() - started) / len(frames)
    file.seek(0)
    with av.open(file, "r") as encoded:
        pictures = enumerate(encoded.decode(video=0))
        ssim = np.mean(
            [
                structural_similarity(_luma(picture), layout.planes(frames[i])[0], data_range=255)
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
