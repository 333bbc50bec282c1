"""What was measured in the frames of a video so far, and of which face: of some before all are known."""

from typing import Final

import numpy as np

from app.faces.hidden import ALIGNED_BY
from app.faces.types import FaceFlags, FaceLandmarks, Landmarks
from app.mouths.looking import Look
from app.mouths.looks import PATCH_SIZE, Patch, Skin
from app.mouths.marks import Marked, Marks

_MEASURED: Final = ("teeth", "redness", "parting", "apart", "sharpness", "skin", "patches")


class Notes:
    """Rows for ``count`` frames, as in :class:`app.mouths.study.Study`; 0 where nothing was measured."""

    def __init__(self, count: int, every: int) -> None:
        """``every`` is that of :func:`app.mouths.marks.cover_every`."""
        self.teeth = np.zeros((count, 2), np.float32)
        self.redness = np.zeros(count, np.float32)
        self.parting = np.zeros(count, np.float32)
        self.apart = np.zeros(count, np.float32)
        self.sharpness = np.zeros(count, np.float32)
        self.skin: Skin = np.zeros((count, 3), np.float32)
        self.patches: Patch = np.zeros((count, PATCH_SIZE[1], PATCH_SIZE[0], 3), np.uint8)
        self.marks = Marks(count, every)
        self._places = np.full((count, len(ALIGNED_BY), 2), np.nan, np.float32)

    def __len__(self) -> int:
        return len(self.redness)

    @property
    def measured(self) -> FaceFlags:
        """Which frames were measured."""
        return np.isfinite(self._places[:, 0, 0])

    def take(self, index: int, landmarks: FaceLandmarks, look: Look, cover: Marked | None) -> None:
        """Note what was measured in a frame, and what is before its face, if it was looked for."""
        self._places[index] = landmarks[list(ALIGNED_BY)]
        for name in _MEASURED:
            getattr(self, name)[index] = getattr(look, name)
        if cover is not None:
            self.marks.take(index, cover)

    def settle(self, landmarks: Landmarks, shown: FaceFlags) -> None:
        """Make these the notes of a whole video, without frames whose face is not ``shown`` or elsewhere."""
        count, common = len(landmarks), min(len(landmarks), len(self))
        same = np.zeros(count, np.bool_)
        same[:common] = (self._places[:common] == landmarks[:common, list(ALIGNED_BY)]).all(axis=(1, 2))
        same &= shown
        for name, nothing in (*dict.fromkeys(_MEASURED, 0).items(), ("_places", np.nan)):
            rows = getattr(self, name)
            if common < count:
                rows = np.concatenate([rows, np.zeros((count - common, *rows.shape[1:]), rows.dtype)])
            rows[:count][~same] = nothing
            setattr(self, name, rows[:count])
        self.marks = self.marks.of(same)
