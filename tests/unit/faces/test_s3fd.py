import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from app.errors import EngineUnavailable
from app.faces.detector import load_detector
from app.faces.s3fd import WEIGHTS, S3fd
from app.media.frames import FrameLayout
from tests.support.frames import i420


class Package:
    """Stands in for ``face_alignment.detection.sfd``: answers two faces and keeps what it is given."""

    def __init__(self, device: str, path_to_detector: str) -> None:
        if Path(path_to_detector).read_bytes() != b"weights":
            raise RuntimeError("unexpected end of file")
        self.device = device
        self.pictures: list[npt.NDArray[np.uint8]] = []

    def detect_from_image(self, picture: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float64]]:
        self.pictures.append(picture)
        return [np.array([10.0, 20, 50, 70, 0.6]), np.array([100.0, 30, 140, 90, 0.9])]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    torch: Any = SimpleNamespace(
        hub=SimpleNamespace(get_dir=lambda: str(tmp_path)),
        cuda=SimpleNamespace(is_available=lambda: False),
    )
    monkeypatch.setitem(sys.modules, "torch", torch)
    sfd: Any = SimpleNamespace(FaceDetector=Package)
    monkeypatch.setitem(sys.modules, "face_alignment.detection.sfd", sfd)
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "face_alignment.detection.sfd", None)
    with pytest.raises(EngineUnavailable, match=r"-m pip install 'mouthpiece\[face-alignment\]'"):
        load_detector("s3fd")


def test_without_weights_their_place_and_origin_are_named(hub: Path) -> None:
    with pytest.raises(EngineUnavailable, match=f"https://.*{WEIGHTS} to {hub / WEIGHTS}"):
        S3fd()


def test_weights_that_cannot_be_read_are_told_apart(hub: Path) -> None:
    (hub / WEIGHTS).write_bytes(b"half of the")
    with pytest.raises(EngineUnavailable, match=r"cannot be loaded on cpu .*unexpected end of file"):
        S3fd()


def test_its_boxes_come_best_first_in_our_order_from_an_rgb_picture(hub: Path) -> None:
    (hub / WEIGHTS).write_bytes(b"weights")
    layout = FrameLayout(160, 120)
    red = np.full((120, 160, 3), [0, 0, 200], np.uint8)
    detector = S3fd()
    detections = detector.detect(i420(red, layout), layout)
    assert [d.box.tolist() for d in detections] == [[30, 90, 100, 140], [20, 70, 10, 50]]
    assert [d.score for d in detections] == [0.9, 0.6]
    (picture,) = detector._detector.pictures
    assert picture.shape == (120, 160, 3)
    assert picture[60, 80].tolist() == pytest.approx([200, 0, 0], abs=3)


@pytest.mark.parametrize(("asked", "taken"), [("auto", "cpu"), ("cpu", "cpu"), ("cuda:1", "cuda:1")])
def test_it_runs_on_the_device_that_is_asked_for(hub: Path, asked: str, taken: str) -> None:
    (hub / WEIGHTS).write_bytes(b"weights")
    detector = load_detector("s3fd", asked)
    assert isinstance(detector, S3fd)
    assert detector._detector.device == taken
