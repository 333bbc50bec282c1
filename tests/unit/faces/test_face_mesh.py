import cv2
import numpy as np

from app.faces.face_mesh import FaceMesh
from app.faces.regions import region_of_landmarks
from app.media.frames import FrameLayout
from app.mouths.points import LOWER_LIP_INNER, UPPER_LIP_INNER
from tests.support.clips import portrait
from tests.support.faces import portrait_face
from tests.support.frames import i420

INNER_LIPS = [*UPPER_LIP_INNER, *LOWER_LIP_INNER]
INNER_EYES = (133, 362)


def test_the_mesh_of_a_large_face_does_not_tremble_with_the_grain_of_the_footage() -> None:
    """Of a face of 430 pixels a third was sampled, and its lips trembled by 0.0046 of the eyes' distance."""
    times = 4
    layout, rng = FrameLayout(512 * times, 512 * times), np.random.default_rng(1)
    large = cv2.resize(portrait(), (layout.width, layout.height), interpolation=cv2.INTER_CUBIC)
    landmarks = portrait_face()[0] * np.float32(times)
    eyes = np.linalg.norm(np.subtract(*landmarks[list(INNER_EYES)]))
    region = region_of_landmarks(landmarks)
    mesh, lips = FaceMesh(), []
    for _ in range(8):
        grain = rng.normal(0, 8, large.shape)
        fit = mesh.fit(i420(np.clip(large + grain, 0, 255).astype(np.uint8), layout), layout, region)
        assert fit is not None
        lips.append(fit.landmarks[INNER_LIPS] / eyes)
    assert np.std(lips, axis=0).mean() < 0.003
