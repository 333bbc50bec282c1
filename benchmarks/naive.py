"""The textbook pipeline that ours is measured against: every frame a JPEG, one step after the other.

Frames lie on the disk as JPEG files and are read back as BGR; torch runs the full network in fp32, 32 frames
at a time; the faces are stretched and pasted as hard rectangles; each frame becomes a JPEG file again; x264
``medium`` CRF 18 encodes those files; a second pass adds the sound. Run as ``python -m benchmarks.naive``.

What it needs beforehand it gets for nothing: the face boxes are ours, the avatar's JPEG files and the loaded
checkpoint are not counted.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import av
import cv2
import numpy as np

from app.audio.mel import mel_spectrogram
from benchmarks.processes import peak_of
from benchmarks.runs import Run

_BATCH: Final = 32
_FACE: Final = 96
_WINDOW: Final = 16
_FPS: Final = Fraction(25)


class _Stopwatch:
    """Adds up the seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + perf_counter() - started


def main(clip: Path, boxes_file: Path, speech: Path, checkpoint: Path, folder: Path) -> None:
    """Render once; print what it took as JSON."""
    frames, boxes, network = _extract(clip, folder / "frames"), np.load(boxes_file), _load(checkpoint)
    (folder / "made").mkdir(exist_ok=True)
    watch, started, spent = _Stopwatch(), perf_counter(), _cpu_seconds()
    with watch.stage("mel"):
        windows = _windows(speech)
    for first in range(0, len(windows), _BATCH):
        _make(first, windows[first : first + _BATCH], frames, boxes, network, folder / "made", watch)
    with watch.stage("encode"):
        _encode(folder / "made", len(windows), folder / "silent.mp4")
    with watch.stage("mux"):
        _mux(folder / "silent.mp4", speech, folder / "naive.mp4")
    run = Run(
        media_seconds=float(len(windows) / _FPS),
        wall_seconds=perf_counter() - started,
        cpu_seconds=_cpu_seconds() - spent,
        stages=watch.seconds,
        peaks={"naive": round(peak_of(os.getpid()))},
    )
    sys.stdout.write(json.dumps(asdict(run)))


def _make(
    first: int, windows: Any, frames: list[Path], boxes: Any, network: Any, folder: Path, watch: _Stopwatch
) -> None:
    """Make the JPEG files of one batch."""
    sources = [_pingpong(first + i, len(frames)) for i in range(len(windows))]
    with watch.stage("decode"):
        pictures = [_read(frames[source]) for source in sources]
    with watch.stage("composite"):
        faces = np.stack([_cut(picture, boxes[s]) for picture, s in zip(pictures, sources, strict=True)])
    with watch.stage("model"):
        spoken = _infer(network, windows, faces)
    with watch.stage("composite"):
        for picture, source, face in zip(pictures, sources, spoken, strict=True):
            y1, y2, x1, x2 = boxes[source]
            picture[y1:y2, x1:x2] = cv2.resize(face.astype(np.uint8), (x2 - x1, y2 - y1))
    with watch.stage("write"):
        for index, picture in enumerate(pictures, first):
            cv2.imwrite(str(folder / f"{index:06d}.jpg"), picture)


def _extract(clip: Path, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with av.open(str(clip)) as container:
        for index, picture in enumerate(container.decode(video=0)):
            paths.append(folder / f"{index:06d}.jpg")
            if not paths[-1].exists():
                cv2.imwrite(str(paths[-1]), picture.to_ndarray(format="bgr24"))
    return paths


def _read(path: Path) -> Any:
    return cv2.imread(str(path))


def _load(checkpoint: Path) -> Any:
    from app.wav2lip.checkpoint import load_network

    return load_network(checkpoint)


def _windows(speech: Path) -> Any:
    resampler = av.AudioResampler("flt", "mono", 16000)
    with av.open(str(speech)) as container:
        parts = [
            part.to_ndarray()[0] for frame in container.decode(audio=0) for part in resampler.resample(frame)
        ]
    samples = np.concatenate(parts)
    mel = mel_spectrogram(samples)
    count = round(len(samples) / 16000 * _FPS)
    mel = np.pad(mel, ((0, 0), (0, _WINDOW)), constant_values=-4)
    starts = [int(80 * index / _FPS) for index in range(count)]
    return np.stack([mel[None, :, start : start + _WINDOW] for start in starts])


def _cut(picture: Any, box: Any) -> Any:
    y1, y2, x1, x2 = box
    return cv2.resize(picture[y1:y2, x1:x2], (_FACE, _FACE))


def _infer(network: Any, windows: Any, faces: Any) -> Any:
    import torch

    masked = faces.copy()
    masked[:, _FACE // 2 :] = 0
    batch = np.concatenate([masked, faces], axis=3).transpose(0, 3, 1, 2) / 255.0
    with torch.no_grad():
        spoken = network(torch.FloatTensor(windows), torch.FloatTensor(batch))
    return spoken.numpy().transpose(0, 2, 3, 1) * 255.0


def _pingpong(index: int, count: int) -> int:
    phase = index % (2 * count - 2)
    return phase if phase < count else 2 * count - 2 - phase


def _encode(folder: Path, count: int, output: Path) -> None:
    with av.open(str(output), "w") as target:
        stream = target.add_stream("libx264", rate=_FPS, options={"preset": "medium", "crf": "18"})
        stream.height, stream.width = _read(folder / "000000.jpg").shape[:2]
        stream.pix_fmt = "yuv420p"
        for index in range(count):
            picture = _read(folder / f"{index:06d}.jpg")
            target.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        target.mux(stream.encode())


def _mux(silent: Path, speech: Path, output: Path) -> None:
    with av.open(str(silent)) as video, av.open(str(speech)) as audio, av.open(str(output), "w") as target:
        pictures = target.add_stream_from_template(video.streams.video[0])
        sound = target.add_stream("aac", rate=audio.streams.audio[0].rate)
        for packet in video.demux(video=0):
            if packet.dts is not None:
                packet.stream = pictures
                target.mux(packet)
        for frame in audio.decode(audio=0):
            target.mux(sound.encode(frame))
        target.mux(sound.encode())


def _cpu_seconds() -> float:
    return sum(os.times()[:4])


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
