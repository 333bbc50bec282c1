import numpy as np

from app.faces.head import RIGID_POINTS, head_affine
from app.faces.types import FaceLandmarks

RNG = np.random.default_rng(2)
BASE = RNG.uniform(100, 200, (468, 2)).astype(np.float32)
LOWER_LIP = (178, 87, 14, 317, 402)
UPPER_LIP = (81, 82, 13, 312, 311)


def face(opening: float) -> FaceLandmarks:
    points = BASE.copy()
    points[33], points[263] = (100, 120), (200, 120)
    points[list(UPPER_LIP)] = [(140 + 4 * k, 180) for k in range(5)]
    points[list(LOWER_LIP)] = [(140 + 4 * k, 180 + 100 * opening) for k in range(5)]
    return points


def test_the_head_s_map_leads_from_the_target_to_the_reference() -> None:
    target = face(0.1)
    linear, shift = np.array([[1.1, 0.05], [-0.05, 1.1]]), np.array([7.0, -3.0])
    reference = (target @ linear.T + shift).astype(np.float32)
    affine = head_affine(target, reference)
    assert np.allclose(affine[:, :2], linear, atol=1e-4)
    assert np.allclose(affine[:, 2], shift, atol=1e-2)


def test_moving_lips_do_not_move_the_head() -> None:
    still = set(RIGID_POINTS)
    assert not still & {*LOWER_LIP, *UPPER_LIP, 0, 17, 152, 61, 291}
    affine = head_affine(face(0.0), face(0.4))
    assert np.allclose(affine, np.eye(2, 3), atol=1e-5)
