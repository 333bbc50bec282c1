import cv2
import numpy as np
import pytest

from app.faces.boxes import box_of_landmarks, padded
from app.faces.mask import mouth_mask
from app.faces.types import DEFAULT_PADS, FaceLandmarks, MouthMask, Pads
from tests.support.faces import portrait_face

LIPS = [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185]
SIZES = [96, 128, 257]


def mask_of(landmarks: FaceLandmarks, size: int = 96, pads: Pads = DEFAULT_PADS) -> MouthMask:
    return mouth_mask(landmarks, padded(box_of_landmarks(landmarks)[None], pads)[0], size)


def in_crop(landmarks: FaceLandmarks, size: int) -> FaceLandmarks:
    top, bottom, left, right = padded(box_of_landmarks(landmarks)[None], DEFAULT_PADS)[0]
    crop = (landmarks + 0.5 - [left, top]) * [size / (right - left), size / (bottom - top)] - 0.5
    return np.asarray(crop, np.float32)


def turned(landmarks: FaceLandmarks, degrees: float) -> FaceLandmarks:
    """Turn the head to the side as if it were half an ellipsoid, its nose standing out."""
    center = landmarks.mean(axis=0)
    x, y = (landmarks - center).T.astype(np.float64)
    reach = 1.05 * np.hypot(x / np.abs(x).max(), y / np.abs(y).max()).max()
    depth = np.sqrt(
        np.maximum(0, 1 - (x / np.abs(x).max() / reach) ** 2 - (y / np.abs(y).max() / reach) ** 2)
    )
    angle = np.radians(degrees)
    across = x * np.cos(angle) + depth * np.abs(x).max() * np.sin(angle)
    return np.asarray(np.stack([across, y], axis=1) + center, np.float32)


@pytest.mark.parametrize("size", SIZES)
def test_only_rows_that_were_hidden_from_the_model_have_weight(size: int) -> None:
    mask = mask_of(portrait_face()[0], size)
    assert mask.shape == (size, size)
    assert mask.dtype == np.uint8
    assert not mask[: size // 2].any()


@pytest.mark.parametrize("pads", [DEFAULT_PADS, Pads(bottom=0), Pads(bottom=-0.15, left=-0.2, right=-0.2)])
@pytest.mark.parametrize("size", SIZES)
def test_the_edges_of_the_crop_have_no_weight(size: int, pads: Pads) -> None:
    mask = mask_of(portrait_face()[0], size, pads)
    assert mask.max() == 255
    assert not mask[-1].any()
    assert not mask[:, [0, -1]].any()


@pytest.mark.parametrize("degrees", [-30, -15, 0, 15, 30])
def test_the_lips_are_covered_in_full(degrees: float) -> None:
    landmarks = turned(portrait_face()[0], degrees)
    x, y = np.rint(in_crop(landmarks, 96)[LIPS]).astype(int).T
    assert mask_of(landmarks)[y, x].min() == 255


@pytest.mark.parametrize("degrees", [-75, -45, -20, 0, 20, 45, 75])
def test_it_stays_within_the_outline_of_the_face_except_below_the_chin(degrees: float) -> None:
    landmarks = turned(portrait_face()[0], degrees)
    outline = cv2.convexHull(in_crop(landmarks, 96))[:, 0]
    lower = np.concatenate([outline, outline + np.array([0, 0.05 * 96])]).astype(np.float32)
    hull = cv2.convexHull(lower)
    for y, x in np.argwhere(mask_of(landmarks) > 2).tolist():
        assert cv2.pointPolygonTest(hull, (float(x), float(y)), measureDist=True) > -1.0


@pytest.mark.parametrize("degrees", [-75, 75])
def test_in_a_profile_it_spares_the_nose_and_what_lies_behind_it(degrees: float) -> None:
    landmarks = turned(portrait_face()[0], degrees)
    outward = np.sign(degrees) * 0.1 * np.ptp(landmarks[:, 0])
    far_cheek = [327, 425, 280] if degrees > 0 else [98, 205, 50]
    landmarks[far_cheek, 0] = landmarks[2, 0] + outward
    x, y = np.rint(in_crop(landmarks, 96)[2]).astype(int)
    beyond = slice(x - 2, None) if degrees > 0 else slice(None, x + 3)
    assert mask_of(landmarks)[:y, beyond].max() == 0


@pytest.mark.parametrize("degrees", [-85, -60, 0, 60, 85])
def test_it_has_no_holes_and_is_of_one_piece(degrees: float) -> None:
    mask = mask_of(turned(portrait_face()[0], degrees))
    pieces, _ = cv2.connectedComponents((mask > 0).astype(np.uint8))
    holes, _ = cv2.connectedComponents((mask < 255).astype(np.uint8), connectivity=4)
    assert (pieces, holes) == (2, 2)


def test_it_is_soft_everywhere() -> None:
    mask = mask_of(portrait_face()[0]).astype(int)
    assert np.abs(np.diff(mask, axis=0)).max() < 100
    assert np.abs(np.diff(mask, axis=1)).max() < 100


def test_a_quarter_of_a_pixel_changes_it_by_a_few_steps_at_most() -> None:
    landmarks, box = portrait_face()
    shifted = landmarks + np.float32(0.25 * (box[3] - box[2]) / 96)
    change = mouth_mask(shifted, box, 96).astype(int) - mouth_mask(landmarks, box, 96)
    assert 0 < np.abs(change).max() < 30


def test_there_is_room_below_the_chin_for_a_dropping_jaw() -> None:
    landmarks = portrait_face()[0]
    x, y = np.rint(in_crop(landmarks, 96)[152]).astype(int)
    mask = mask_of(landmarks)
    assert mask[y, x] > 200
    assert mask[y + 2, x] > 0
