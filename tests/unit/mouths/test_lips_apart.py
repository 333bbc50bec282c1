import cv2
import numpy as np
import pytest

from app.media.frames import BgrImage, FrameLayout
from app.mouths.lips_apart import MOUTH_SIZE, LipsApart, mouth_crop
from app.mouths.points import LOWER_LIP_INNER, UPPER_LIP_INNER
from tests.support.clips import portrait
from tests.support.faces import aligned_face, portrait_face


def portrait_crop() -> tuple[BgrImage, np.ndarray]:
    return aligned_face(portrait(), FrameLayout(512, 512), portrait_face()[0])


def with_shut_lips(crop: BgrImage, points: np.ndarray) -> BgrImage:
    """The lower lip drawn over the teeth of the smile."""
    shut, inner = crop.copy(), points[[*UPPER_LIP_INNER, *LOWER_LIP_INNER[::-1]]]
    lip = crop[tuple(np.rint(points[17][::-1]).astype(int) - (2, 0))]
    cv2.fillPoly(shut, [np.rint(inner).astype(np.int32)], lip.tolist())
    return shut


def test_a_mouth_is_cut_about_the_middle_of_its_inner_lips() -> None:
    crop, points = portrait_crop()
    mouth = mouth_crop(crop, points)
    assert mouth.shape == (MOUTH_SIZE[1], MOUTH_SIZE[0], 3)
    x, y = np.rint(points[[*UPPER_LIP_INNER, *LOWER_LIP_INNER]].mean(axis=0)).astype(int)
    assert np.abs(mouth[15:25, 20:36].astype(int) - crop[y - 5 : y + 5, x - 8 : x + 8]).mean() < 12


@pytest.mark.parametrize("light", [0.6, 1.0, 1.2])
def test_a_smile_with_teeth_parts_lips_further_than_a_shut_one(light: float) -> None:
    crop, points = portrait_crop()
    sees = LipsApart()
    smile, shut = (
        sees(mouth_crop(np.clip(picture * light, 0, 255).astype(np.uint8), points))
        for picture in (crop, with_shut_lips(crop, points))
    )
    assert smile > shut + 3
