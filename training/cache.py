"""A pack decoded into arrays that training reads at random: pictures, mel columns and face meshes.

The arrays are memory-mapped: several processes share one copy, and what does not fit stays on disk.
"""

import fcntl
import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from app.audio.mel import BANDS, mel_spectrogram
from app.errors import InvalidRequest, MouthpieceError
from app.faces.face_mesh import POINTS
from app.media.files import replacing
from app.media.frames import BgrImage
from app.media.limits import AudioLimits, VideoLimits
from app.media.probe import probe_video
from app.media.sound import decode_sound
from app.media.video import decode_frames
from app.mouths.mesh import CropMesh, MeshPoints, Presence
from app.mouths.teeth import ShownTeeth, shown_teeth
from training.pack import CROP_SIZE, Clip, Pack

PackFrames = npt.NDArray[np.uint8]
"""uint8 (n, 128, 128, 3): BGR crops of all clips, concatenated."""

MelColumns = npt.NDArray[np.float16]
"""float16 (columns, 80), -4..4: the mel of all clips, concatenated."""

Progress = Callable[[int, int], None]
"""Called with (clips done, clips in total)."""

LIMITS: Final = VideoLimits(max_seconds=3600, max_pixels=CROP_SIZE * CROP_SIZE)
SOUND_LIMITS: Final = AudioLimits(max_seconds=3600)
_INDEX: Final = "spans.json"
_ARRAYS: Final = ("frames", "mel", "mesh", "presence", "teeth")


@dataclass(frozen=True)
class Span:
    """The range of one clip in the arrays."""

    clip: Clip
    start: int
    frames: int
    mel_start: int
    mel_columns: int


@dataclass(frozen=True)
class Cache:
    """The decoded pack. ``left_out`` says which clips could not be used, and why."""

    spans: tuple[Span, ...]
    frames: PackFrames
    mel: MelColumns
    mesh: MeshPoints
    presence: Presence
    teeth: ShownTeeth
    left_out: dict[str, str]

    def frames_of(self, span: Span) -> PackFrames:
        """Return the pictures of one clip."""
        return self.frames[span.start : span.start + span.frames]

    def mesh_of(self, span: Span) -> MeshPoints:
        """Return the face meshes of one clip."""
        return self.mesh[span.start : span.start + span.frames]


def open_cache(pack: Pack, folder: Path, progress: Progress | None = None) -> Cache:
    """Open the decoded pack in ``folder``, decoding it if that is not there yet or is of other clips.

    What the pack says of the speaker, the rights and the sync of a clip is always the present index's. Clips
    that do not decode are left out and named. One of several processes decodes; the others wait. Raises
    InvalidRequest if no clip is left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _decoded(folder) != _identity(pack):
            _decode(pack, folder, progress)
        index = json.loads((folder / _INDEX).read_text())
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
    clips = {clip.file: clip for clip in pack.clips}
    spans = tuple(Span(**{**entry, "clip": clips[entry["clip"]]}) for entry in index["spans"])
    return Cache(spans=spans, left_out=index["left_out"], **arrays)


def _identity(pack: Pack) -> str:
    """Return a digest of what is decoded of a pack: its files, their sizes, and the shapes of the faces."""
    about = [(clip.file, _size(pack.path(clip)), clip.face_w, clip.face_h, clip.audio) for clip in pack.clips]
    return hashlib.sha256(repr(about).encode()).hexdigest()


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _decoded(folder: Path) -> str | None:
    """Return the identity of the pack whose decoded clips lie in a folder, None if they are not complete."""
    if not all((folder / name).is_file() for name in (_INDEX, *(f"{array}.npy" for array in _ARRAYS))):
        return None
    identity: str | None = json.loads((folder / _INDEX).read_text()).get("pack")
    return identity


def _decode(pack: Pack, folder: Path, progress: Progress | None) -> None:
    (folder / _INDEX).unlink(missing_ok=True)
    identity = _identity(pack)
    spans: list[dict[str, Any]] = []
    left_out: dict[str, str] = {}
    mesh = CropMesh()
    writers = {
        "frames": _Rows(folder / "frames.npy", (CROP_SIZE, CROP_SIZE, 3), np.uint8),
        "mel": _Rows(folder / "mel.npy", (BANDS,), np.float16),
        "mesh": _Rows(folder / "mesh.npy", (POINTS, 3), np.float16),
        "presence": _Rows(folder / "presence.npy", (), np.float16),
        "teeth": _Rows(folder / "teeth.npy", (2,), np.float32),
    }
    for done, clip in enumerate(pack.clips, start=1):
        try:
            frames, mel = _pictures(pack.path(clip)), _mel(pack.path(clip), clip)
        except (MouthpieceError, OSError) as error:
            left_out[clip.file] = str(error)
        else:
            points, presence = mesh.fit(frames, clip.aspect)
            spans.append(
                {
                    "clip": clip.file,
                    "start": writers["frames"].count,
                    "frames": len(frames),
                    "mel_start": writers["mel"].count,
                    "mel_columns": len(mel),
                }
            )
            teeth = shown_teeth(frames, points, clip.aspect)
            for name, rows in zip(_ARRAYS, (frames, mel, points, presence, teeth), strict=True):
                writers[name].write(np.asarray(rows))
        if progress:
            progress(done, len(pack.clips))
    if not spans:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(left_out.items())[:3])
        raise InvalidRequest(f"None of the pack's {len(pack.clips)} clips can be decoded ({reasons}).")
    for writer in writers.values():
        writer.close()
    index = {"pack": identity, "spans": spans, "left_out": left_out}
    with replacing(folder / _INDEX) as temporary:
        temporary.write_text(json.dumps(index))


def _pictures(path: Path) -> list[BgrImage]:
    info = probe_video(path, LIMITS)
    if (info.layout.width, info.layout.height) != (CROP_SIZE, CROP_SIZE):
        raise InvalidRequest(
            f"a pack's pictures are {CROP_SIZE}x{CROP_SIZE}, these are "
            f"{info.layout.width}x{info.layout.height}."
        )
    return [info.layout.to_bgr(frame) for frame in decode_frames(path, info, LIMITS)]


def _mel(path: Path, clip: Clip) -> MelColumns:
    if not clip.audio:
        return np.empty((0, BANDS), np.float16)
    with tempfile.TemporaryDirectory() as folder:
        sound = decode_sound(path, SOUND_LIMITS, Path(folder) / "track", Path(folder) / "speech")
        samples = sound.read_speech(0, sound.speech_samples)
    columns: MelColumns = mel_spectrogram(samples).T.astype(np.float16)
    return columns


class _Rows:
    """A .npy file that grows row by row, so that a pack larger than memory can be decoded."""

    def __init__(self, path: Path, row: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self.count = 0
        self._path, self._row, self._dtype = path, row, np.dtype(dtype)
        self._raw = path.with_suffix(".raw")
        self._raw.write_bytes(b"")

    def write(self, rows: npt.NDArray[Any]) -> None:
        """Append ``rows``."""
        with self._raw.open("ab") as file:
            file.write(np.ascontiguousarray(rows, self._dtype).tobytes())
        self.count += len(rows)

    def close(self) -> None:
        """Write the header and rename the file into place."""
        header = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self.count, *self._row),
        }
        with (
            replacing(self._path) as temporary,  # what another process has mapped stays as it is
            temporary.open("wb") as target,
            self._raw.open("rb") as source,
        ):
            np.lib.format.write_array_header_1_0(target, header)
            while chunk := source.read(1 << 24):
                target.write(chunk)
        self._raw.unlink()
