"""Speed of this machine's device: the model against the device's peak, and whole renders.

This part of the benchmark needs only an installed Mouthpiece; ``make bench`` also compares with the
textbook pipeline.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from app.avatars.builder import AvatarRequest
from app.media.sound import SPEECH_RATE, Sound
from app.mouths.ear import Ear
from app.mouths.model import MouthModel
from app.rendering.renderer import RenderRequest
from app.rendering.workspace import Workspace
from app.settings import Settings
from app.wav2lip.arrays import FaceCrops, FloatArray, MelWindows
from app.wav2lip.choice import CHECKPOINT_SUFFIXES
from app.wav2lip.devices import usable_cores
from app.wav2lip.infer import Wav2LipInfer
from app.workshop import Workshop

OFFICIAL_GFLOP: Final = 5.45
"""What the official network's lower half takes a frame: 2.726 G multiplications and additions; whole 7.94."""

_HEARD_SECONDS, _HEARD_RATE = 10, 25
"""Sound that is heard at once, as in a segment, and the frames a second for which it is."""
_SOFTNESS: Final = 2.0
"""Pixels: deviation of the blur that makes noise a soft picture."""
_LEAST_SECONDS: Final = 1.0
_ENCODER_CORES: Final = (1, 4, 16)
_MATRIX: Final = {"cpu": 2048, "cuda": 8192}
"""Side of the matrices whose product tells a device's peak."""


@dataclass(frozen=True)
class Measured:
    """One figure: ``value`` is in ``unit``."""

    part: str
    name: str
    value: float
    unit: str
    note: str = ""


def bench(settings: Settings, video: Path | None, audio: Path | None) -> Iterator[Measured]:
    """Measure the model that the settings name, and renders of ``audio`` over ``video`` if both are given."""
    with tempfile.TemporaryDirectory(prefix="mouthpiece-bench-") as folder:
        own = {"avatars_dir": Path(folder) / "avatars", "data_dir": settings.data_dir}
        workshop = Workshop.open(settings.model_copy(update=own))
        if isinstance(workshop.infer, MouthModel):
            yield ear_speed(workshop.infer.ear, Path(folder) / "noise.f32")
        else:
            yield from model_speed(workshop.infer, settings.model_path)
            yield precision(workshop.infer, settings.model_path)
            yield from _video_memory(workshop.infer)
        if video and audio:
            yield from _renders(workshop, video, audio, Path(folder))


def model_speed(model: Wav2LipInfer, path: Path) -> Iterator[Measured]:
    """Measure frames a second by batch, and for the official network the share of the device's peak."""
    part, best = f"{path.name} on {model.info.engine}, {model.info.device} {model.info.dtype}", 0.0
    for frames in sorted({1, model.batch_size, 4 * model.batch_size}):
        work = _work(model, frames)
        work()
        rate, cpu = timed(work, frames)
        best = max(best, rate)
        yield Measured(part, f"batch {frames}", rate, "frames/s", f"{1000 * cpu:.2f} CPU ms a frame")
    peak = _matrix_peak(model)
    yield Measured(part, "peak of the device in a matrix product", peak, "GFLOP/s")
    if path.suffix in CHECKPOINT_SUFFIXES:
        share = 100 * best * OFFICIAL_GFLOP / peak
        yield Measured(part, "reached", share, "%", f"floor: {1000 * OFFICIAL_GFLOP / peak:.3f} ms a frame")


def ear_speed(ear: Ear, file: Path) -> Measured:
    """Measure how many frames a second are heard, of noise that is written to ``file``."""
    noise = np.random.default_rng(0).normal(0, 0.1, _HEARD_SECONDS * SPEECH_RATE).astype(np.float32)
    file.write_bytes(noise.tobytes())
    sound = Sound("", str(file), SPEECH_RATE, 1, "mono", len(noise), len(noise), float(_HEARD_SECONDS))
    times = np.arange(_HEARD_SECONDS * _HEARD_RATE) / _HEARD_RATE
    ear.hear(sound, times)
    rate, cpu = timed(partial(ear.hear, sound, times), len(times))
    return Measured(
        "ear on the CPU", f"{_HEARD_SECONDS} s of sound", rate, "frames/s", f"{1000 * cpu:.2f} CPU ms a frame"
    )


def precision(model: Wav2LipInfer, path: Path) -> Measured:
    """Compare the model, as it runs, with fp32 on the CPU; 45 dB look the same.

    The pictures are soft, as faces are: in bare noise a warp a tenth of a pixel off changes everything.
    """
    exact = Wav2LipInfer(path, "fp32", "cpu")
    error = _pictures(model) - _pictures(exact)
    psnr = float(-10 * np.log10(max(float(np.square(error).mean()), 1e-10)))
    return Measured(f"{model.info.dtype} on {model.info.device}", "PSNR to fp32 on the CPU", psnr, "dB")


def _work(model: Wav2LipInfer, frames: int) -> Callable[[], object]:
    """Return what has the model make ``frames`` mouths."""
    windows, crops = random_inputs(frames, model.face_size)
    return partial(model.render, windows, crops)


def _pictures(model: Wav2LipInfer) -> FloatArray:
    """Return what the model makes of soft noise, values 0..1."""
    windows, noise = random_inputs(8, model.face_size)
    crops = np.stack([cv2.GaussianBlur(picture, (0, 0), _SOFTNESS) for picture in noise])
    return model.render(windows, crops)[:, model.face_size // 2 :].astype(np.float32) / np.float32(255)


def random_inputs(frames: int, face_size: int) -> tuple[MelWindows, FaceCrops]:
    """Return noise in the shape of mel windows and crops, the same each time."""
    rng = np.random.default_rng(0)
    windows = rng.uniform(-4, 4, (frames, 80, 16)).astype(np.float32)
    return windows, rng.integers(0, 256, (frames, face_size, face_size, 3), np.uint8)


def timed(work: Callable[[], object], frames: int) -> tuple[float, float]:
    """Repeat ``work`` of ``frames`` frames for a second; return frames a second and CPU seconds a frame."""
    done, started, spent = 0, time.perf_counter(), time.process_time()
    while not done or time.perf_counter() - started < _LEAST_SECONDS:
        work()
        done += frames
    return done / (time.perf_counter() - started), (time.process_time() - spent) / done


def _matrix_peak(model: Wav2LipInfer) -> float:
    """Return what the device reaches in a product of large matrices, GFLOP/s, in the model's precision."""
    multiply, side = _cuda_product(model) if model.info.device.startswith("cuda") else _cpu_product()
    multiply()
    rate, _ = timed(multiply, 1)
    return 2 * side**3 * rate / 1e9


def _cpu_product() -> tuple[Callable[[], object], int]:
    side = _MATRIX["cpu"]
    matrix = np.random.default_rng(0).random((side, side), np.float32)
    return lambda: matrix @ matrix, side


def _cuda_product(model: Wav2LipInfer) -> tuple[Callable[[], object], int]:
    import torch

    side = _MATRIX["cuda"]
    dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[model.info.dtype]
    matrix = torch.rand(side, side, device=model.info.device, dtype=dtype)

    def multiply() -> None:
        torch.matmul(matrix, matrix)
        torch.cuda.synchronize()

    return multiply, side


def _video_memory(model: Wav2LipInfer) -> Iterator[Measured]:
    if model.info.engine == "torch" and model.info.device.startswith("cuda"):
        import torch

        peak: Any = torch.cuda.max_memory_reserved(model.info.device)
        yield Measured(model.info.device, "GPU memory", peak / 1e6, "MB")


def _renders(workshop: Workshop, video: Path, audio: Path, folder: Path) -> Iterator[Measured]:
    started, spent = time.perf_counter(), time.process_time()
    made = workshop.builder.build(AvatarRequest("bench", video, video.name), lambda *_: None)
    wall, cpu = time.perf_counter() - started, time.process_time() - spent
    size = f"{made.width}x{made.height}, {float(made.fps):g} fps"
    note = f"{cpu / made.duration:.3f} CPU s a second of video"
    yield Measured(f"registration, {size}", video.name, made.duration / wall, "x real time", note)
    for cores in (0, *(n for n in _ENCODER_CORES if n <= usable_cores())):
        encoders = ceil(cores / 4)
        threads = cores // encoders if cores else 0
        renderer = replace(workshop.renderer, encoders=encoders, encoder_threads=threads)
        spent = time.process_time()
        report = renderer.render(
            RenderRequest("bench", audio), Workspace(folder / f"render-{cores}"), lambda *_: None
        )
        cpu = (time.process_time() - spent) / report.duration
        busy = {name: seconds / report.wall_seconds for name, seconds in report.stage_seconds.items()}
        note = f"{cpu:.3f} CPU s a second; " + ", ".join(f"{name} {part:.0%}" for name, part in busy.items())
        name = (
            f"{encoders} x {threads} encoder threads" if cores else f"as configured, {usable_cores()} cores"
        )
        speed = report.duration / report.wall_seconds
        yield Measured(f"render, {size}", name, speed, "x real time", note)
