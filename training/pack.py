"""The pack: face crops of talking people with their sound, small enough to travel, and what is known."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from app.errors import InvalidRequest
from app.media.files import replacing

INDEX: Final = "index.json"
CROP_SIZE: Final = 128
"""Side of a pack's pictures: the face box and a margin around it, for augmentation."""
MARGIN: Final = 0.15
"""Of the box's size, on each side."""
FPS: Final = 25
BOX_SIDE: Final = CROP_SIZE / (1 + 2 * MARGIN)
"""Side of the face box within the crop, pixels; the box lies in the middle."""


@dataclass(frozen=True)
class Clip:
    """One clip of a pack: a file of 25 frames a second, and what was measured of it.

    ``group`` is the speaker. ``sync_offset_frames`` above 0 means that the sound is late: frame t belongs to
    the sound at t + offset. ``face_w`` and ``face_h`` are the face box's sides in the source, in pixels: the
    crop is squeezed to a square. ``synced`` tells whether the mouth was seen to move with the sound.
    """

    file: str
    group: str
    set: str
    frames: int
    face_w: float
    face_h: float
    audio: bool
    sync_offset_frames: float = 0.0
    synced: bool = True
    licence: str = "unknown"
    source: str = ""

    @property
    def aspect(self) -> float:
        """Width of the face box over its height."""
        return self.face_w / self.face_h


@dataclass(frozen=True)
class Pack:
    """A folder of clips and its index."""

    folder: Path
    clips: tuple[Clip, ...]

    def path(self, clip: Clip) -> Path:
        """Return the file of a clip."""
        return self.folder / clip.file


def load_pack(folder: Path) -> Pack:
    """Read the index of the pack in ``folder``.

    Raises InvalidRequest if there is none, if it is damaged or if it lists no clips.
    """
    path = folder / INDEX
    try:
        index = json.loads(path.read_bytes())
        rights = index.get("licences", {})
        clips = tuple(_with_rights(_clip(entry), rights) for entry in index["clips"])
    except FileNotFoundError as error:
        raise InvalidRequest(
            f"{folder} is not a pack: it has no {INDEX}. Make one with 'python -m training prepare'."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidRequest(
            f"The index {path} is damaged ({error!r}): make the pack again with 'prepare'."
        ) from error
    if not clips:
        raise InvalidRequest(
            f"The pack {folder} lists no clips: prepare it from videos in which people talk."
        )
    return Pack(folder, clips)


def save_index(folder: Path, clips: list[Clip]) -> None:
    """Write the index of a pack; it takes its name only once it is complete."""
    with replacing(folder / INDEX) as temporary:
        temporary.write_text(json.dumps({"fps": FPS, "clips": [asdict(clip) for clip in clips]}, indent=1))


def _clip(entry: dict[str, Any]) -> Clip:
    clip = Clip(
        file=str(entry["file"]),
        group=str(entry["group"]),
        set=str(entry["set"]),
        frames=int(entry["frames"]),
        face_w=float(entry["face_w"]),
        face_h=float(entry["face_h"]),
        audio=bool(entry["audio"]),
        sync_offset_frames=float(entry.get("sync_offset_frames") or 0),
        licence=str(entry.get("licence", "unknown")),
        source=str(entry.get("source", "")),
    )
    if clip.frames < 1 or clip.face_w <= 0 or clip.face_h <= 0:
        raise ValueError(f"clip {clip.file} has no frames or no face box")
    return replace(clip, synced=clip.audio and _synced(entry))


def _with_rights(clip: Clip, rights: dict[str, str]) -> Clip:
    """Spell out the licence of a clip that has that of its set."""
    return replace(clip, licence=rights.get(clip.set, clip.licence)) if clip.licence == "set" else clip


def _synced(entry: dict[str, Any]) -> bool:
    """A verdict on sync that was left out stands for a set whose sync is known; null means no evidence."""
    verdict = entry.get("synced", entry.get("use_for_sync", True))
    return bool(verdict)
