"""From a folder of talking videos to a pack.

Every video is read twice: once to follow the face, once to cut it out. Each video's outcome is
recorded before the next one begins, so a run that was stopped resumes at the video where it stopped.
"""

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from app.audio.mel import mel_spectrogram
from app.errors import InvalidRequest, MouthpieceError, NoSound
from app.faces.boxes import crop_affine
from app.faces.detector import FaceDetector, load_detector
from app.faces.regions import LEFT_EYE, RIGHT_EYE
from app.faces.tracking import track_face
from app.faces.types import Box, FaceFlags, FaceTrack, Landmarks, has_face, runs_of
from app.media.files import replacing
from app.media.frames import BgrImage
from app.media.limits import AudioLimits, VideoLimits
from app.media.probe import VideoInfo, probe_video
from app.media.sound import SPEECH_RATE, SpeechSamples, decode_sound
from app.media.video import decode_frames
from app.mouths.points import LOWER_LIP_INNER, UPPER_LIP_INNER
from training.clip_writer import write_clip
from training.pack import CROP_SIZE, FPS, INDEX, MARGIN, Clip, load_pack, save_index
from training.sync import Curve, SyncEstimate, estimate_sync
from training.videos import SUFFIXES

SET: Final = "videos"
"""The set of what is prepared; a pack may hold others."""
UNKNOWN: Final = "unknown"
"""The licence of videos of whose rights nothing was said."""
LEAST_FRAMES: Final = 25
MOST_FRAMES: Final = 250
"""Frames of a clip: a face that comes and goes makes several, and a long one is cut."""

_LIMITS: Final = VideoLimits(max_seconds=4 * 3600, max_pixels=4096 * 4096)
_SOUND_LIMITS: Final = AudioLimits(max_seconds=4 * 3600)

_UPPER_LIP, _LOWER_LIP = UPPER_LIP_INNER[3:8], LOWER_LIP_INNER[3:8]
"""The middle of the inner lips."""

FrameOrder = npt.NDArray[np.int64]
"""int64 (n,): the source's frame that is shown at each frame of 25 a second."""

Progress = Callable[[int, int], None]
"""Called with (videos done, videos in total)."""


@dataclass(frozen=True)
class Outcome:
    """The outcome for a folder of videos."""

    clips: int
    seconds: float
    speakers: int
    unsynced: list[str]
    """Clips whose mouths were not seen to move with their sound."""
    left_out: dict[str, str]
    """Videos that could not be used, and why."""


@dataclass(frozen=True)
class _Footage:
    """One video: its path, its speaker, and the face in each source frame."""

    path: Path
    group: str
    info: VideoInfo
    track: FaceTrack
    speech: SpeechSamples | None
    sync: SyncEstimate | None


def prepare_pack(videos: Path, pack: Path, *, licence: str, progress: Progress | None = None) -> Outcome:
    """Make or resume the pack of the videos below ``videos``, or add them to what a pack holds.

    ``licence`` is that of all these videos, also of those that are in the pack already, unless it is unknown.
    What the pack holds keeps its order, and what is added comes after it. A clip whose file is gone was taken
    out, and stays out. Raises InvalidRequest if there are no videos, two would have clips of one name, none
    shows a face for a second, the pack lies among the videos, or all clips were taken out.
    """
    if pack.resolve().is_relative_to(videos.resolve()):
        raise InvalidRequest(
            f"The pack {pack} lies in {videos}, so that its clips would be taken for videos."
        )
    paths = sorted(path for path in videos.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise InvalidRequest(f"There are no videos in {videos}: put in files such as .mp4, .mov or .webm.")
    _check_names(paths, videos)
    pack.mkdir(parents=True, exist_ok=True)
    detector = load_detector("blazeface")
    known = _listed(pack)
    left_out: dict[str, str] = {}
    entries: dict[str, list[Clip]] = {}
    for done, path in enumerate(paths, start=1):
        name = _name(path, videos)
        entries[name] = []
        try:
            entries[name] = _once(path, videos, pack, licence, detector)
        except MouthpieceError as error:
            left_out[str(path.relative_to(videos))] = error.detail
        if progress:
            progress(done, len(paths))
    if len(left_out) == len(paths):
        reasons = "; ".join(f"{name}: {why}" for name, why in list(left_out.items())[:3])
        raise InvalidRequest(f"None of the {len(paths)} videos in {videos} can be used ({reasons}).")
    clips = [clip for clip in _merged(known, entries) if (pack / clip.file).is_file()]
    if not clips:
        raise InvalidRequest(f"All clips were taken out of the pack {pack}: remove it to make them again.")
    save_index(pack, clips)
    return Outcome(
        clips=len(clips),
        seconds=sum(clip.frames for clip in clips) / FPS,
        speakers=len({clip.group for clip in clips}),
        unsynced=[clip.file for clip in clips if not clip.synced],
        left_out=left_out,
    )


def _listed(pack: Path) -> list[Clip]:
    return list(load_pack(pack).clips) if (pack / INDEX).is_file() else []


def _merged(known: list[Clip], entries: dict[str, list[Clip]]) -> list[Clip]:
    """Return the clips that a pack has, in their order, with ``entries`` in place of those of their videos.

    ``entries`` are by the name of the video; what the pack has not comes last.
    """
    left, merged = dict(entries), list[Clip]()
    for clip in known:
        name = _video_of(clip)
        if name in entries:
            merged += left.pop(name, [])
        else:
            merged.append(clip)
    return [*merged, *(clip for added in left.values() for clip in added)]


def _video_of(clip: Clip) -> str | None:
    """Return the name of the video that a clip was cut out of, None if it is of another set."""
    return clip.file.rsplit(".", 2)[0] if clip.set == SET else None


def _name(path: Path, videos: Path) -> str:
    """Return the name of a video's clips, which is its path below ``videos``."""
    return "--".join(path.relative_to(videos).with_suffix("").parts)


def _check_names(paths: Iterable[Path], videos: Path) -> None:
    known: dict[str, Path] = {}
    for path in paths:
        other = known.setdefault(_name(path, videos), path)
        if other != path:
            first, second = other.relative_to(videos), path.relative_to(videos)
            raise InvalidRequest(f"{first} and {second} would have clips of one name: rename one of them.")


def _once(path: Path, videos: Path, pack: Path, licence: str, detector: FaceDetector) -> list[Clip]:
    """Return the clips of a video, from what was written down or by making them."""
    relative, name = path.relative_to(videos), _name(path, videos)
    notes = pack / f"{name}.{path.stat().st_size}.json"
    if not notes.is_file():
        group = relative.parts[0] if len(relative.parts) > 1 else path.stem
        footage = _footage(path, group, detector)
        _forget(pack, name)
        _note(notes, _cut_up(footage, pack, name, licence))
    clips = [Clip(**entry) for entry in json.loads(notes.read_text())]
    if licence == UNKNOWN or all(clip.licence == licence for clip in clips):
        return clips
    stated = [replace(clip, licence=licence) for clip in clips]
    _note(notes, stated)
    return stated


def _forget(pack: Path, name: str) -> None:
    """Remove what a pack has, and says, of another video with this name, which is to be replaced."""
    known = _listed(pack)
    others = [clip for clip in known if _video_of(clip) != name]
    if not others:
        (pack / INDEX).unlink(missing_ok=True)
    elif len(others) < len(known):
        save_index(pack, others)
    kept = {clip.file for clip in others}
    for path in pack.iterdir():
        own, _, number = path.stem.rpartition(".")
        if own == name and number.isdecimal() and path.suffix in (".json", ".mp4") and path.name not in kept:
            path.unlink()


def _note(notes: Path, clips: list[Clip]) -> None:
    with replacing(notes) as temporary:
        temporary.write_text(json.dumps([asdict(clip) for clip in clips]))


def _footage(path: Path, group: str, detector: FaceDetector) -> _Footage:
    info = probe_video(path, _LIMITS)
    fps = float(info.fps)
    track = track_face(decode_frames(path, info, _LIMITS), info.layout, fps=fps, detector=detector)
    speech = _speech(path)
    sync = None if speech is None else estimate_sync(_openings(track, fps), mel_spectrogram(speech))
    return _Footage(path, group, info, track, speech, sync)


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


def _cut_up(footage: _Footage, pack: Path, name: str, licence: str) -> list[Clip]:
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


def _crops(footage: _Footage, wanted: set[int]) -> Iterator[tuple[int, BgrImage]]:
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
    footage: _Footage,
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
