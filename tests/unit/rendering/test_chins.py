"""A chin that lies further down than its mesh: speckles stand for a beard."""

import cv2
import numpy as np
import pytest

from app.faces.hidden import alignment
from app.faces.types import FaceLandmarks
from app.media.frames import FrameLayout, I420Frame
from app.rendering.chins import DOUBT, FARTHEST, Chin
from app.rendering.jaws import GivingJaw
from tests.support.mouths import person_of

LAYOUT = FrameLayout(320, 300)
CHIN = 152


def mesh() -> FaceLandmarks:
    points: FaceLandmarks = person_of(np.zeros((5, 1))).study.meshes[2, :, :2].copy()
    return points


def step(points: FaceLandmarks) -> float:
    """Return how many pixels of the frame one of an aligned crop is."""
    return float(np.hypot(*alignment(points)[:, 1]))


def bearded(points: FaceLandmarks, down: float = 0.0, seed: int = 0) -> I420Frame:
    """Return a face with a beard that lies lower by ``down`` pixels of an aligned crop."""
    frame = np.full(LAYOUT.frame_bytes, 128, np.uint8)
    grain = np.random.default_rng(seed).normal(0, 90, (LAYOUT.height, LAYOUT.width)).astype(np.float32)
    beard = np.clip(110 + cv2.GaussianBlur(grain, (0, 0), 2 * step(points)) * 3, 0, 255).astype(np.float32)
    there = np.array([[1, 0, 0], [0, 1, down * step(points)]], np.float64)
    LAYOUT.planes(frame)[0][:] = cv2.warpAffine(beard, there, (LAYOUT.width, LAYOUT.height))
    return frame


def lag(down: float, seed: int = 0) -> float:
    """Return what is found, in pixels of an aligned crop."""
    points = mesh()
    own = Chin.of(LAYOUT, bearded(points, down, seed), points)
    return own.lag(Chin.of(LAYOUT, bearded(points), points)) / step(points)


@pytest.mark.parametrize("down", [4.0, 5.5, 9.0])
def test_a_beard_that_lies_lower_is_seen_to(down: float) -> None:
    assert lag(down) == pytest.approx(down, abs=0.35)


@pytest.mark.parametrize("down", [-5.0, 0.0, DOUBT[0] - 0.4])
def test_a_chin_that_lies_where_its_mesh_says_or_higher_stays(down: float) -> None:
    assert lag(down) == pytest.approx(0, abs=0.1)


def test_what_is_found_grows_without_a_step() -> None:
    found = [lag(down) for down in np.arange(0, 5, 0.25)]
    assert max(np.diff(found)) < 0.8
    assert min(np.diff(found)) > -0.2


def test_chins_that_do_not_look_alike_tell_nothing() -> None:
    assert lag(6.0, seed=1) == 0


def test_nothing_is_looked_for_as_far_down_as_a_collar() -> None:
    assert lag(FARTHEST + 4.0) == 0


def test_a_chin_beyond_the_border_of_its_frame_tells_nothing() -> None:
    points = mesh() + np.array([0, LAYOUT.height], np.float32)
    own = Chin.of(LAYOUT, bearded(points), points)
    assert own.lag(own) == 0


def test_a_jaw_gives_way_by_what_its_mesh_lags() -> None:
    points = mesh()
    jaw = GivingJaw.to(points, points, lag=6.0)
    assert jaw is not None
    assert jaw.landmarks[CHIN, 1] == pytest.approx(points[CHIN, 1] - 6, abs=0.2)
    assert GivingJaw.to(points, points) is None
