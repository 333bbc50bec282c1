import numpy as np
import pytest

from app.faces.types import FaceLandmarks
from training.cutting import mouth_openings

UPPER_LIP, LOWER_LIP = (81, 82, 13, 312, 311), (178, 87, 14, 317, 402)


def face(opening: float) -> FaceLandmarks:
    """A face with eyes 100 pixels apart."""
    points = np.random.default_rng(2).uniform(100, 200, (468, 2)).astype(np.float32)
    points[33], points[263] = (100, 120), (200, 120)
    points[list(UPPER_LIP)] = [(140 + 4 * k, 180) for k in range(5)]
    points[list(LOWER_LIP)] = [(140 + 4 * k, 180 + 100 * opening) for k in range(5)]
    return points


def test_the_opening_is_the_lips_gap_over_the_eyes_distance() -> None:
    openings = mouth_openings(np.stack([face(0.0), face(0.1), face(0.3)]))
    assert openings == pytest.approx([0, 0.1, 0.3], abs=1e-6)
