"""Face crops and mouth masks: what the model sees of each frame, and where its output may show."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.avatars.arrays import Row, save_rows
from app.faces.boxes import crop_affine
from app.faces.geometry import composed
from app.faces.head import head_affine
from app.faces.mask import mouth_mask
from app.faces.types import Box, Boxes, Landmarks, MouthMask, has_face
from app.media.files import replacing
from app.media.frame_file import FrameReader, RecentFrames
from app.media.frames import Affine, BgrImage, FrameLayout, I420Frame
from app.mouths.person import Person
from app.mouths.resting import rest_lenders
from app.progress import Alive
from app.wav2lip.card import Reference

MouthMasks = npt.NDArray[np.uint8]
"""uint8 (n, S, S): one soft mask a frame, in crop space; zeros where a frame has no face."""

BOXES: Final = "coords.npy"
LANDMARKS: Final = "landmarks.npy"
CROPS: Final = "faces.npy"
MASKS: Final = "masks.npy"
REFERENCES: Final = "references.npy"


@dataclass(frozen=True)
class CropForm:
    """What a model wants to be shown: faces of ``size`` pixels, and which frame as the reference.

    Nothing is cut for a model that takes its references from the frames while it renders (``nearest``).
    """

    size: int
    reference: Reference = "frame"

    @property
    def files(self) -> tuple[str, ...]:
        """The files that are cut for this form."""
        if self.reference == "nearest":
            return ()
        return (CROPS, MASKS) if self.shown == CROPS else (CROPS, MASKS, self.shown)

    @property
    def leaning(self) -> bool:
        """Whether mouths are laid with the lean of a head, and not in an upright crop."""
        return self.reference == "nearest"

    @property
    def frame_bytes(self) -> int:
        """Bytes of the files for each frame."""
        return self.size**2 * sum(1 if name == MASKS else 3 for name in self.files)

    @property
    def shown(self) -> str:
        """The file whose faces the model is shown as references."""
        return REFERENCES if self.reference == "closed" else CROPS


@dataclass(frozen=True)
class FaceCutter:
    """Cuts the faces of one avatar out of its frames."""

    layout: FrameLayout
    frames: FrameReader
    boxes: Boxes
    landmarks: Landmarks
    person: Person
    alive: Alive

    def write(self, folder: Path, form: CropForm) -> None:
        """Write the files of ``form`` into an avatar's folder, each whole; they can be cut again."""
        makers: dict[str, Callable[[int], Iterator[Row]]] = {
            CROPS: self.crops,
            MASKS: self.masks,
            REFERENCES: self.references,
        }
        for name in form.files:
            with replacing(folder / name, durable=False) as temporary:
                save_rows(temporary, len(self.boxes), makers[name](form.size))

    def crops(self, size: int) -> Iterator[BgrImage]:
        """Yield each frame's own face, (size, size, 3); zeros where it has none."""
        frame = np.empty(self.layout.frame_bytes, np.uint8)
        for index, shown in enumerate(has_face(self.boxes)):
            self.alive()
            if shown:
                self.frames.read_into(index, frame)
                yield cut_face(self.layout, frame, self.boxes[index], size)
            else:
                yield np.zeros((size, size, 3), np.uint8)

    def references(self, size: int) -> Iterator[BgrImage]:
        """Yield for each frame a face whose mouth rests, laid onto the frame's own head."""
        closed = rest_lenders(self.person, self.alive)
        lenders = RecentFrames(self.frames, self.layout.frame_bytes)
        for index, lender in enumerate(closed.tolist()):
            self.alive()
            if lender < 0:
                yield np.zeros((size, size, 3), np.uint8)
                continue
            head = head_affine(self.landmarks[index], self.landmarks[lender])
            yield cut_face(self.layout, lenders[lender], self.boxes[index], size, head)

    def masks(self, size: int) -> Iterator[MouthMask]:
        """Yield each frame's mouth mask, (size, size); zeros where it has no face."""
        for points, box, shown in zip(self.landmarks, self.boxes, has_face(self.boxes), strict=True):
            self.alive()
            yield mouth_mask(points, box, size) if shown else np.zeros((size, size), np.uint8)


def cut_face(
    layout: FrameLayout, frame: I420Frame, box: Box, size: int, head: Affine | None = None
) -> BgrImage:
    """Cut a box out of a frame as a ``size`` x ``size`` picture, without keeping the aspect.

    Bilinear as in Wav2Lip's own preparation; a face of more than twice the size is averaged down to it, since
    bilinear sampling would skip pixels there and give the model noise that its training faces did not have.
    ``head`` maps positions of the box's frame to positions of ``frame`` where this is another one.
    """
    top, bottom, left, right = box.tolist()
    factor = max(1, min(bottom - top, right - left) // size)
    affine = crop_affine(box, size * factor)
    if head is not None:
        affine = composed(head, affine)
    crop = layout.sample_bgr(frame, affine, (size * factor, size * factor))
    if factor == 1:
        return crop
    return np.asarray(cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
