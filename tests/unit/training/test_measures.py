import cv2
import numpy as np
import pytest

from tests.support.packs import face_crop
from training.measures import Apertures, follow, sharpness, similarity

RNG = np.random.default_rng(0)


def mouth() -> Apertures:
    return np.abs(np.convolve(RNG.standard_normal(240), np.ones(5) / 5, "valid"))


def test_a_mouth_that_says_the_truth_follows_it_and_nothing_else() -> None:
    truth, reference = mouth(), mouth()
    result = follow([(truth, 0.5 * truth + 0.2, reference)])
    assert result.partial == pytest.approx(1)
    assert result.leak == pytest.approx(0, abs=1e-6)
    assert result.lag == 0


def test_a_mouth_that_copies_its_reference_is_found_out() -> None:
    truth, reference = mouth(), mouth()
    noise = 0.1 * RNG.standard_normal(len(truth))
    result = follow([(truth, reference + noise, reference)])
    assert result.leak > 0.9
    assert abs(result.partial) < 0.3


@pytest.mark.parametrize("late", [-4, 3])
def test_the_lag_is_the_frames_by_which_the_mouth_comes_late(late: int) -> None:
    truth = mouth()
    assert follow([(truth, np.roll(truth, late), mouth())]).lag == late


def test_a_mouth_that_never_moves_follows_nothing() -> None:
    truth = mouth()
    result = follow([(truth, np.full_like(truth, 0.1), mouth())])
    assert (result.partial, result.leak) == (0, 0)


def test_blur_lowers_sharpness_and_similarity() -> None:
    faces = cv2.resize(face_crop(), (96, 96))[None]
    blurred = cv2.GaussianBlur(faces[0], (7, 7), 2)[None]
    assert sharpness(faces, faces) == pytest.approx(1)
    assert similarity(faces, faces) == pytest.approx(1)
    assert sharpness(blurred, faces) < 0.5
    assert similarity(blurred, faces) < 0.98
