"""Talks: people who were filmed while they spoke, their mouths frame by frame, and their sound."""

import json
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from app.errors import InvalidRequest, MouthpieceError
from app.faces.boxes import crop_affine
from app.faces.detector import load_detector
from app.faces.tracking import track_face
from app.faces.types import Box, has_face
from app.media.files import replacing
from app.media.limits import AudioLimits, VideoLimits
from app.media.probe import probe_video
from app.media.sound import SpeechSamples, decode_sound
from app.media.treatment import AS_SERVED
from app.media.video import decode_frames
from app.mouths.mesh import LEAST_PRESENCE, CropMesh
from app.mouths.teeth import shown_teeth
from training.cache import Cache, Span
from training.listen.truth import Flags, Mouths, measure_mouths
from training.pack import FPS, MARGIN, Pack

FrameTimes = npt.NDArray[np.float64]
"""float64 (n,): seconds of the sound at which frames are shown."""

Progress = Callable[[int, int], None]
"""Told (clips done, clips in all)."""

SUFFIXES: Final = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m4v"})
VIDEOS: Final = "videos"
"""The set to which videos belong that are in no pack."""
_LIMITS: Final = VideoLimits(max_seconds=3600, max_pixels=4096 * 4096)
_SOUND_LIMITS: Final = AudioLimits(max_seconds=3600)
_CROP: Final = 192
"""Side of the face that the mesh looks at, pixels."""


@dataclass(frozen=True)
class Talk:
    """One clip of somebody who talks. ``seen`` tells which frames have a believable mesh."""

    name: str
    person: str
    set: str
    times: FrameTimes
    mouths: Mouths
    seen: Flags
    samples: SpeechSamples
    licence: str = "unknown"
    """What may be done with the clip, as a model's card is to state it."""

    def shifted(self, seconds: float) -> "Talk":
        """Return the talk with its frames shown that much later in the sound."""
        return replace(self, times=self.times + seconds)


def pack_talks(
    pack: Pack, cache: Cache, spans: Iterable[Span], progress: Progress = lambda done, of: None
) -> list[Talk]:
    """Return the clips of a pack whose sound is in sync."""
    wanted = [span for span in spans if span.clip.synced]
    talks = []
    for done, span in enumerate(wanted, start=1):
        part = slice(span.start, span.start + span.frames)
        mesh = np.asarray(cache.mesh[part], np.float64)
        mesh[:, :, 0] *= span.clip.aspect
        talks.append(
            Talk(
                name=span.clip.file,
                person=span.clip.group,
                set=span.clip.set,
                times=(np.arange(span.frames) + span.clip.sync_offset_frames) / FPS,
                mouths=measure_mouths(mesh, np.asarray(cache.teeth[part])),
                seen=np.asarray(cache.presence[part]) > LEAST_PRESENCE,
                samples=read_samples(pack.path(span.clip)),
                licence=span.clip.licence,
            )
        )
        progress(done, len(wanted))
    return talks


def video_talks(
    videos: Iterable[Path],
    kept: Path,
    progress: Progress = lambda done, of: None,
    *,
    licence: str = "unknown",
) -> list[Talk]:
    """Return a talk of each video, its face followed at the video's own size and frame rate.

    What was measured of a video is kept in the folder ``kept``. ``licence`` is that of all of them. Raises
    InvalidRequest, which names it, for a video without a face or a sound.
    """
    kept.mkdir(parents=True, exist_ok=True)
    paths = list(videos)
    talks = []
    for done, path in enumerate(paths, start=1):
        try:
            talks.append(replace(_video_talk(path, kept), licence=licence))
        except MouthpieceError as error:
            raise InvalidRequest(
                f"{path} shows nobody who talks: take it out of the folder. {error.detail}"
            ) from error
        progress(done, len(paths))
    return talks


def _video_talk(path: Path, kept: Path) -> Talk:
    samples, notes = read_samples(path), kept / f"{path.stem}.{path.stat().st_size}.npz"
    if not notes.is_file():
        _measure(path, notes)
    with np.load(notes) as stored:
        measured = {name: stored[name] for name in ("times", "mouths", "seen")}
    return Talk(name=path.stem, person=path.stem, set=VIDEOS, samples=samples, **measured)


def known_lags(folder: Path) -> dict[str, float]:
    """Return by how many seconds the sound of each video of ``folder`` is late, as its lags.json says."""
    path = folder / "lags.json"
    try:
        return {str(name): float(lag) for name, lag in json.loads(path.read_text()).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError, TypeError) as error:
        raise InvalidRequest(f"{path} must map names of videos to seconds ({error}).") from error


def read_samples(path: Path) -> SpeechSamples:
    """Return the whole sound of a file, 16 kHz mono."""
    with tempfile.TemporaryDirectory() as folder:
        sound = decode_sound(path, _SOUND_LIMITS, Path(folder) / "track", Path(folder) / "speech")
        return sound.read_speech(0, sound.speech_samples)


def _measure(path: Path, notes: Path) -> None:
    info = probe_video(path, _LIMITS, AS_SERVED)
    fps = float(info.fps)
    track = track_face(
        decode_frames(path, info, _LIMITS), info.layout, fps=fps, detector=load_detector("blazeface")
    )
    mesh, found = CropMesh(), has_face(track.boxes)
    mouths, seen = [], []
    for index, frame in enumerate(decode_frames(path, info, _LIMITS)):
        if not found[index]:
            continue
        box = _with_margin(track.boxes[index])
        crop = info.layout.sample_bgr(frame, crop_affine(box, _CROP), (_CROP, _CROP))
        aspect = float((box[3] - box[2]) / (box[1] - box[0]))
        points, presence = mesh.fit([crop], aspect)
        teeth = shown_teeth([crop], points, aspect)
        mouths.append(measure_mouths(np.asarray(points * (aspect, 1, 1), np.float64), teeth)[0])
        seen.append(presence[0] > LEAST_PRESENCE)
    if not mouths:
        raise MouthpieceError(f"{path} shows no face.")
    with replacing(notes) as temporary, temporary.open("wb") as file:
        np.savez(file, times=np.flatnonzero(found) / fps, mouths=np.array(mouths), seen=np.array(seen))


def _with_margin(box: Box) -> Box:
    top, bottom, left, right = (float(edge) for edge in box)
    down, across = MARGIN * (bottom - top), MARGIN * (right - left)
    grown: Box = np.rint([top - down, bottom + down, left - across, right + across]).astype(np.int32)
    return grown
