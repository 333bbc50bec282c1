"""What stays of what resting lips show: teeth in every light, the dark of a gaping mouth, not a slit."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from app.faces.types import FaceLandmarks
from app.media.frames import BgrImage
from app.mouths.lips import between_lips, head_millimetre
from app.mouths.looks import skin_of
from app.mouths.points import LOWER_LIP_INNER, UPPER_LIP_INNER
from app.mouths.shown import ShownInside, shown_inside
from tests.support.clips import portrait
from tests.support.frames import i420
from tests.support.shut import LAYOUT, mesh_of


def look(picture: BgrImage, mesh: FaceLandmarks) -> ShownInside:
    skin = skin_of(picture, mesh.astype(np.float64))
    return shown_inside(LAYOUT, i420(picture, LAYOUT), mesh, skin)


def in_light(gains: tuple[float, float, float], base: float = 0.0) -> BgrImage:
    """Return the portrait, who smiles, in another light: blue, green, red."""
    return np.asarray(np.clip(portrait() * np.array(gains) + base, 0, 255), np.uint8)


def parted(millimetres: float) -> FaceLandmarks:
    """Return the portrait's mesh with inner lips that are so far apart everywhere but at the corners."""
    mesh = mesh_of(portrait()).copy()
    unit = head_millimetre(mesh.astype(np.float64), mesh)
    middle = (mesh[list(UPPER_LIP_INNER)] + mesh[list(LOWER_LIP_INNER)]) / 2
    half = np.zeros((len(middle), 2), np.float32)
    half[1:-1, 1] = millimetres * unit / 2
    mesh[list(UPPER_LIP_INNER)], mesh[list(LOWER_LIP_INNER)] = middle - half, middle + half
    return mesh


def painted(mesh: FaceLandmarks, color: tuple[int, int, int]) -> BgrImage:
    """Return the portrait with one colour between the lips of ``mesh``."""
    picture = portrait().astype(np.float32)
    between = between_lips(mesh, (0, LAYOUT.height, 0, LAYOUT.width))[..., None]
    return np.asarray(picture + between * (np.array(color) - picture), np.uint8)


@pytest.mark.parametrize(
    ("gains", "base"),
    [((1, 1, 1), 0), ((0.7, 0.85, 1.15), 0), ((1.1, 1.1, 1.2), 30), ((0.5, 0.5, 0.5), 0), ((1.2, 1, 0.8), 0)],
    ids=["as it is", "warm", "lit to the utmost", "dark", "cold"],
)
def test_teeth_of_a_smile_stay_in_every_light(gains: tuple[float, float, float], base: float) -> None:
    picture = in_light(gains, base)
    shown = look(picture, mesh_of(portrait()))
    assert shown.kept > 0.9
    assert shown.tooth is not None
    own = picture[between_lips(mesh_of(portrait()), (0, LAYOUT.height, 0, LAYOUT.width)) > 0.9]
    assert np.all(shown.tooth <= own.max(axis=0) + 4.0)
    assert shown.tooth.mean() > np.median(own.mean(axis=1))


def test_teeth_of_a_gray_picture_stay() -> None:
    gray = cv2.cvtColor(portrait(), cv2.COLOR_BGR2GRAY)
    assert look(np.dstack([gray] * 3), mesh_of(portrait())).kept > 0.9


def test_a_gaping_mouth_stays_dark() -> None:
    mesh = parted(8.0)
    shown = look(painted(mesh, (25, 20, 40)), mesh)
    assert shown.kept == 1
    assert shown.tooth is None


@pytest.mark.parametrize("color", [(25, 20, 40), (70, 65, 150)], ids=["dark", "lip"])
def test_nothing_of_a_slit_stays(color: tuple[int, int, int]) -> None:
    mesh = parted(1.5)
    assert look(painted(mesh, color), mesh) == ShownInside(0.0, None)


def test_lips_that_touch_show_nothing() -> None:
    assert look(portrait(), parted(0.0)) == ShownInside(0.0, None)


def test_beyond_the_frame_its_edge_is_seen() -> None:
    mesh = mesh_of(portrait()) + np.array([0, LAYOUT.height], np.float32)
    skin: npt.NDArray[np.float32] = np.array([100, 125, 165], np.float32)
    assert 0 <= shown_inside(LAYOUT, i420(portrait(), LAYOUT), mesh, skin).kept <= 1
