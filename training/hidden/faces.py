"""Aligned lower faces of people who talk with nothing before their mouths: what things are laid over."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from app.errors import MouthpieceError
from app.faces.detector import load_detector
from app.faces.hidden import CROP_SIZE, alignment, in_crop
from app.faces.tracking import track_face
from app.media.files import replacing
from app.media.limits import VideoLimits
from app.media.probe import probe_video
from app.media.treatment import AS_SERVED
from app.media.video import decode_frames
from app.mouths.upright import aligned, upright_affine, upright_picture
from training.hidden.settings import SECTION
from training.split import HeldOut
from training.videos import list_videos

AlignedFaces = npt.NDArray[np.uint8]
"""uint8 (n, 96, 96, 3): BGR, eyes level, as the service cuts them."""

CropPoints = npt.NDArray[np.float32]
"""float32 (n, 468, 2): the mesh of each face, pixels of its crop."""

_CUT: Final = 2
"""Of how faces are cut out; those that were cut in another way are cut again."""

_LIMITS: Final = VideoLimits(max_seconds=4 * 3600, max_pixels=4096 * 4096)

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Footage:
    """One video's aligned faces in their order, every frame that has one."""

    name: str
    faces: AlignedFaces
    points: CropPoints


def taught_footage(
    videos: list[Path], runs: Path, held_out: HeldOut, progress: Progress | None = None
) -> list[Footage]:
    """Return the faces of ``videos``, but of nobody whom the recipe holds out of everything."""
    taught = [path for path in list_videos(videos) if path.stem not in held_out.groups]
    return read_footage(taught, runs / SECTION / "faces", progress)


def read_footage(paths: list[Path], cache: Path, progress: Progress | None = None) -> list[Footage]:
    """Return the faces of every video that shows one; ``cache`` keeps what was read for the next time."""
    cache.mkdir(parents=True, exist_ok=True)
    footage = []
    for done, path in enumerate(paths, start=1):
        stored = cache / f"{path.stem}.{path.stat().st_size}.{_CUT}.npz"
        if not stored.is_file():
            _store(stored, _read(path))
        with np.load(stored) as arrays:
            if len(arrays["faces"]):
                footage.append(Footage(path.stem, arrays["faces"], arrays["points"]))
        if progress:
            progress(done, len(paths))
    return footage


def _read(path: Path) -> Footage:
    """Follow the face of a video as the service does, and cut it out of every frame."""
    faces, points = [], []
    try:
        info = probe_video(path, _LIMITS, AS_SERVED)
        frames = decode_frames(path, info, _LIMITS)
        track = track_face(frames, info.layout, fps=float(info.fps), detector=load_detector("blazeface"))
        for frame, landmarks in zip(decode_frames(path, info, _LIMITS), track.landmarks, strict=True):
            if np.isfinite(landmarks).all():
                faces.append(aligned(upright_picture(info.layout, frame, upright_affine(landmarks))))
                points.append(in_crop(alignment(landmarks), landmarks))
    except MouthpieceError:
        faces, points = [], []
    return Footage(
        path.stem,
        np.array(faces, np.uint8).reshape(-1, CROP_SIZE, CROP_SIZE, 3),
        np.array(points, np.float32).reshape(-1, 468, 2),
    )


def _store(path: Path, footage: Footage) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, faces=footage.faces, points=footage.points)
