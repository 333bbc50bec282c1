"""A talking video cut into clips: the face is followed, and the frames that show it are cut out."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from app.audio.mel import mel_spectrogram
from app.errors import NoSound
from app.faces.boxes import crop_affine
from app.faces.detector import FaceDetector
from app.faces.regions import LEFT_EYE, RIGHT_EYE
from app.faces.tracking import track_face
from app.faces.types import Box, FaceFlags, FaceTrack, Landmarks, has_face, runs_of
from app.media.frames import BgrImage
from app.media.limits import AudioLimits, VideoLimits
from app.media.probe import VideoInfo, probe_video
from app.media.sound import SPEECH_RATE, SpeechSamples, decode_sound
from app.media.treatment import AS_SERVED
from app.media.video import decode_frames
from app.mouths.points import LOWER_LIP_INNER, UPPER_LIP_INNER
from training.clip_writer import write_clip
from training.pack import CROP_SIZE, FPS, MARGIN, Clip
from training.sync import Curve, SyncEstimate, estimate_sync

SET: Final = "videos"
"""The set of what is prepared; a pack may hold others."""
LEAST_FRAMES: Final = 25
MOST_FRAMES: Final = 250
"""Frames of a clip: a face that comes and goes makes several, and a long one is cut."""

_LIMITS: Final = VideoLimits(max_seconds=4 * 3600, max_pixels=4096 * 4096)
_SOUND_LIMITS: Final = AudioLimits(max_seconds=4 * 3600)

_UPPER_LIP, _LOWER_LIP = UPPER_LIP_INNER[3:8], LOWER_LIP_INNER[3:8]
"""The middle of the inner lips."""

FrameOrder = npt.NDArray[np.int64]
"""int64 (n,): the source's frame that is shown at each frame of 25 a second."""


@dataclass(frozen=True)
class Footage:
    """One video: its path, its speaker, and the face in each source frame."""

    path: Path
    group: str
    info: VideoInfo
    track: FaceTrack
    speech: SpeechSamples | None
    sync: SyncEstimate | None


def follow_face(path: Path, group: str, detector: FaceDetector) -> Footage:
    """Read a video of the speaker ``group``.

    Raises UnsupportedMedia, LimitExceeded or NoFace if it cannot be used; a video without sound can.
    """
    info = probe_video(path, _LIMITS, AS_SERVED)
    fps = float(info.fps)
    track = track_face(decode_frames(path, info, _LIMITS), info.layout, fps=fps, detector=detector)
    speech = _speech(path)
    sync = None if speech is None else estimate_sync(_openings(track, fps), mel_spectrogram(speech))
    return Footage(path, group, info, track, speech, sync)


def _speech(path: Path) -> SpeechSamples | None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            sound = decode_sound(path, _SOUND_LIMITS, Path(folder) / "track", Path(folder) / "speech")
        except NoSound:
            return None
        return sound.read_speech(0, sound.speech_samples)


def mouth_openings(landmarks: Landmarks) -> Curve:
    """Return how far the mouths of ``landmarks`` (n, 468, 2) are open, in distances of the outer eyes."""
    points = landmarks.astype(np.float64)
    gap = np.linalg.norm(points[:, _LOWER_LIP] - points[:, _UPPER_LIP], axis=-1).mean(axis=1)
    openings: Curve = gap / np.linalg.norm(points[:, RIGHT_EYE] - points[:, LEFT_EYE], axis=-1)
    return openings


def _openings(track: FaceTrack, fps: float) -> Curve:
    return mouth_openings(track.landmarks)[_source_frames(len(track.boxes), fps)]


def _source_frames(count: int, fps: float) -> FrameOrder:
    """Return the source's frame that is shown at each frame of 25 a second."""
    shown = max(1, round(count * FPS / fps))
    return np.minimum(np.rint(np.arange(shown) * fps / FPS), count - 1).astype(np.int64)


def cut_up(footage: Footage, pack: Path, name: str, licence: str) -> list[Clip]:
    """Write a clip for every stretch in which the face is seen."""
    order = _source_frames(len(footage.track.boxes), float(footage.info.fps))
    stretches = list(_stretches(has_face(footage.track.boxes)[order]))
    wanted = {int(order[k]) for start, stop in stretches for k in range(start, stop)}
    crops = _crops(footage, wanted)
    clips = []
    held: dict[int, BgrImage] = {}
    for number, (start, stop) in enumerate(stretches):
        frames = _collect(crops, held, order[start:stop])
        file = f"{name}.{number:03d}.mp4"
        write_clip(pack / file, frames, _slice(footage.speech, start, stop))
        clips.append(_describe(footage, file, start, stop, order, licence))
    return clips


def _stretches(seen: FaceFlags) -> Iterator[tuple[int, int]]:
    """Yield the (start, stop) of stretches with a face, cut to the length of clips."""
    for start, stop in runs_of(seen):
        for first in range(start, stop, MOST_FRAMES):
            last = min(first + MOST_FRAMES, stop)
            if last - first >= LEAST_FRAMES:
                yield first, last


def _crops(footage: Footage, wanted: set[int]) -> Iterator[tuple[int, BgrImage]]:
    """Yield the wanted source frames as crops, in order."""
    layout = footage.info.layout
    for index, frame in enumerate(decode_frames(footage.path, footage.info, _LIMITS)):
        if index in wanted:
            affine = crop_affine(_with_margin(footage.track.boxes[index]), CROP_SIZE)
            yield index, layout.sample_bgr(frame, affine, (CROP_SIZE, CROP_SIZE))


def _collect(
    crops: Iterator[tuple[int, BgrImage]],
    held: dict[int, BgrImage],
    order: FrameOrder,
) -> Iterator[BgrImage]:
    """Yield the crops in the order of a clip, where a source frame may be shown twice or not at all."""
    for index in order.tolist():
        while index not in held:
            held.clear()
            found, crop = next(crops)
            held[found] = crop
        yield held[index]


def _with_margin(box: Box) -> Box:
    top, bottom, left, right = (float(edge) for edge in box)
    down, across = MARGIN * (bottom - top), MARGIN * (right - left)
    grown: Box = np.rint([top - down, bottom + down, left - across, right + across]).astype(np.int32)
    return grown


def _slice(speech: SpeechSamples | None, start: int, stop: int) -> SpeechSamples | None:
    if speech is None:
        return None
    first, last = (round(k * SPEECH_RATE / FPS) for k in (start, stop))
    part = np.zeros(last - first, np.float32)
    have = speech[first:last]
    part[: len(have)] = have
    return part


def _describe(
    footage: Footage,
    file: str,
    start: int,
    stop: int,
    order: FrameOrder,
    licence: str,
) -> Clip:
    boxes = footage.track.boxes[order[start:stop]].astype(np.float64)
    sync = footage.sync
    return Clip(
        file=file,
        group=footage.group,
        set=SET,
        frames=stop - start,
        face_w=float((boxes[:, 3] - boxes[:, 2]).mean()),
        face_h=float((boxes[:, 1] - boxes[:, 0]).mean()),
        audio=footage.speech is not None,
        sync_offset_frames=round(sync.offset, 2) if sync and sync.is_evident else 0.0,
        synced=bool(sync and sync.is_evident),
        licence=licence,
        source=footage.path.name,
    )
