"""What the network that marks covers learns from is what the service shows it."""

from pathlib import Path

import numpy as np
import pytest

from app.faces.agreed import AgreedFinder, Marking
from app.faces.detector import load_detector
from app.faces.hidden import CROP_SIZE
from app.faces.tracking import track_face
from app.faces.types import FaceLandmarks
from app.media.frames import BgrImage
from app.media.limits import VideoLimits
from app.media.probe import probe_video
from app.media.video import decode_frames
from app.mouths.looking import Looker
from tests.support.clips import talking_head
from tests.support.frames import Listed
from training.hidden.faces import read_footage

LIMITS = VideoLimits(max_seconds=60, max_pixels=4096 * 4096)


@pytest.mark.parametrize("height", [240, 720, 1080])
def test_faces_of_any_size_are_learnt_from_as_the_service_cuts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, height: int
) -> None:
    shown: list[BgrImage] = []

    def noting(_: AgreedFinder, crop: BgrImage, points: FaceLandmarks) -> tuple[Marking, Marking]:
        shown.append(crop)
        return np.zeros((CROP_SIZE, CROP_SIZE), np.uint8), np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)

    monkeypatch.setattr(AgreedFinder, "cover", noting)
    video = talking_head(tmp_path / "head.mp4", 0.2, width=height * 4 // 3, height=height)
    info = probe_video(video, LIMITS)
    frames = [frame.copy() for frame in decode_frames(video, info, LIMITS)]
    track = track_face(frames, info.layout, fps=float(info.fps), detector=load_detector("blazeface"))
    looker, buffer = Looker(info.layout, Listed(frames)), np.empty(info.layout.frame_bytes, np.uint8)
    for index, landmarks in enumerate(track.landmarks):
        face = looker.face(index, buffer, landmarks, track.meshes[index])
        assert face is not None
        looker.cover(face)
    (learnt,) = read_footage([video], tmp_path / "faces")
    np.testing.assert_array_equal(learnt.faces, shown)
