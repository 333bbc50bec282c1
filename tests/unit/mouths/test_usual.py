"""What is marked all along is a part of the face if it is as still on it as skin, and before it if not."""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from app.faces.agreed import Marking
from app.faces.hidden import CROP_SIZE, alignment, in_crop
from app.faces.types import Landmarks
from app.mouths.covers import Covers, gather
from app.mouths.marks import Marked, Marks, cover_every
from tests.support.mouths import meshes_of, talk

FPS, FRAMES = 25.0, 150
CHIN = (slice(48, 60), slice(26, 70))
"""Rows and columns of an aligned crop whose chin ends at row 62."""

Luma = npt.NDArray[np.uint8]


def heads() -> Landmarks:
    """Return somebody who talks and sways."""
    points: Landmarks = meshes_of(talk(FRAMES))[..., :2].copy()
    points[..., 0] += 6 * np.sin(np.arange(FRAMES) / 9)[:, None]
    points[..., 1] += 3 * np.cos(np.arange(FRAMES) / 7)[:, None]
    return points


def skin(frame: int) -> Luma:
    """Return a face in light that changes, its chin a little elsewhere where the mouth opens."""
    noise = np.random.default_rng(3).normal(0, 1, (CROP_SIZE, CROP_SIZE)).astype(np.float32)
    face = 150 + 60 * cv2.GaussianBlur(noise, (0, 0), 2)
    return np.asarray(np.clip(face * (1 + 0.1 * np.sin(frame / 30)), 0, 255), np.uint8)


def bearded(frame: int) -> Luma:
    noise = np.random.default_rng(4).normal(0, 25, (CROP_SIZE, CROP_SIZE)).astype(np.float32)
    luma = skin(frame)
    hair = np.clip(70 + cv2.GaussianBlur(noise, (0, 0), 1), 0, 255).astype(np.uint8)
    luma[CHIN] = np.roll(hair, round(float(talk(FRAMES)[frame, 0]) / 3), axis=0)[CHIN]
    return luma


def captioned(frame: int) -> Luma:
    """Return a face before which a bar says something else each second."""
    letters = np.random.default_rng(frame // round(FPS)).random((2, 11)) < 0.4
    luma = skin(frame)
    luma[CHIN] = cv2.resize(
        np.where(letters, 240, 25).astype(np.uint8), (44, 12), interpolation=cv2.INTER_NEAREST
    )
    return luma


def before_a_microphone(frame: int) -> Luma:
    """Return a face that sways behind what stays where it is."""
    luma = skin(frame)
    middle = (48 - round(9 * np.sin(frame / 9)), 56 - round(4 * np.cos(frame / 7)))
    return np.asarray(cv2.circle(luma, middle, 12, 30, cv2.FILLED), np.uint8)


def studied(filmed: Callable[[int], Luma], first_row: int = 48) -> Covers:
    """Return the covers of somebody whose chin is marked from a row on."""
    marks, marked = Marks(FRAMES, cover_every(FPS)), np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)
    marked[first_row : CHIN[0].stop, CHIN[1]] = 255
    for frame in range(FRAMES):
        marks.take(frame, Marked(marked, marked, 0.0, filmed(frame)))
    return gather(marks.lips, marks.kept, marks.suspects, marks.usual(heads()), heads())


def test_the_chin_lies_where_it_is_marked() -> None:
    points = in_crop(alignment(heads()[0]), heads()[0])
    assert 50 < points[152, 1] < 66


@pytest.mark.parametrize("filmed", [captioned, before_a_microphone])
def test_what_looks_otherwise_in_every_frame_is_before_the_face_in_all_of_them(
    filmed: Callable[[int], Luma],
) -> None:
    covers = studied(filmed)
    assert covers.rows.tolist() == list(range(FRAMES))
    cover: Marking | None = covers.of(40, FPS)
    assert cover is not None
    assert (cover[CHIN] > 200).mean() > 0.9


@pytest.mark.parametrize("filmed", [bearded, skin])
def test_what_is_as_still_on_a_face_as_skin_belongs_to_it(filmed: Callable[[int], Luma]) -> None:
    assert not len(studied(filmed).rows)


def test_what_is_before_the_face_all_along_may_hide_a_part_of_the_lips() -> None:
    assert 0.1 < studied(captioned, 40).lips_before < 0.9
    assert studied(bearded, 40).lips_before == 0


@pytest.mark.parametrize(("columns", "before"), [(slice(0, 48), True), (slice(0, 96), False)])
def test_a_half_of_the_mouth_that_is_hidden_all_along_is_behind_something(
    columns: slice, before: bool
) -> None:
    """A panel of one colour before a head that keeps still looks as still as skin does."""
    marks, marked = Marks(FRAMES, cover_every(FPS)), np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)
    marked[24:, columns] = 255
    for frame in range(FRAMES):
        luma = skin(frame)
        luma[24:, columns] = 70
        marks.take(frame, Marked(marked, marked, 0.5, luma))
    still = np.repeat(heads()[:1], FRAMES, axis=0)
    covers = gather(marks.lips, marks.kept, marks.suspects, marks.usual(still), still)
    assert bool(len(covers.rows)) == before
