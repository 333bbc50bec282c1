"""From a folder of talking videos to a pack.

Every video is read twice: once to follow the face, once to cut it out. Each video's outcome is
recorded before the next one begins, so a run that was stopped resumes at the video where it stopped.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from app.errors import InvalidRequest, MouthpieceError, NoFace
from app.faces.detector import FaceDetector, load_detector
from app.media.files import replacing
from training.cutting import SET, cut_up, follow_face
from training.pack import FPS, INDEX, Clip, load_pack, save_index
from training.videos import SUFFIXES

UNKNOWN: Final = "unknown"
"""The licence of videos of whose rights nothing was said."""
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
        footage = follow_face(path, group, detector)
        _forget(pack, name)
        _note(notes, cut_up(footage, pack, name, licence))
    clips = [Clip(**entry) for entry in json.loads(notes.read_text())]
    if not clips:
        raise NoFace("No face is seen for a second at a stretch.")
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
