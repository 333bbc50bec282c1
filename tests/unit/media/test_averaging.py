import numpy as np
import pytest

from app.media.averaging import sample_averaged
from app.media.frames import FrameLayout

LAYOUT = FrameLayout(128, 128)
SIDE = 24


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_colours_stay_beside_the_light_that_they_belong_to(factor: int) -> None:
    frame = np.full(LAYOUT.frame_bytes, 128, np.uint8)
    for plane in LAYOUT.planes(frame)[1:]:
        plane[:] = 64 + 2 * np.arange(LAYOUT.width // 2)
    affine = np.array([[factor, 0, 40.3], [0, factor, 10.3]])

    picture = sample_averaged(LAYOUT, frame, affine, SIDE).astype(np.float64)

    step = np.abs(np.diff(picture[..., 0].mean(axis=0))).mean() / factor  # from pixel to pixel
    away = (picture - LAYOUT.sample_bgr(frame, affine, (SIDE, SIDE)))[..., 0].mean() / step
    assert abs(away) < 0.25
