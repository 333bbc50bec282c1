"""What is told of footage whose heads and light were made up."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from app.avatars.doubts import FAR_TURN, Doubts, doubts_of
from app.avatars.warned import avatar_notices
from app.faces.types import FaceTrack
from app.media.findings import Findings
from app.media.frames import FrameLayout
from app.media.pictures import UPRIGHT, PictureForm
from app.media.probe import VideoInfo
from app.mouths.meeting import meet
from app.mouths.types import Numbers
from app.notices import NoticeCode
from tests.support.mouths import study_of, talk

FRAMES = 40
INFO = VideoInfo(
    PictureForm(320, 240, UPRIGHT, FrameLayout(320, 240)), Fraction(25), FRAMES, 1.6, Fraction(1), ""
)

SIZE = (100_000, 100_000)


def track(height: int = 100) -> FaceTrack:
    boxes = np.tile(np.array([50, 50 + height, 100, 200], np.int32), (FRAMES, 1))
    landmarks, meshes = np.zeros((FRAMES, 468, 2), np.float32), np.zeros((FRAMES, 468, 3), np.float32)
    return FaceTrack(boxes, landmarks, meshes, "none", np.zeros(FRAMES, np.bool_))


def doubts(turns: Numbers | None = None, height: int = 100) -> Doubts:
    study = study_of(talk(FRAMES), turns=np.zeros(FRAMES) if turns is None else turns)
    return doubts_of(track(height), study, meet(study, 25.0), SIZE)


@pytest.mark.parametrize("side", [-1, 1])
def test_a_head_that_is_turned_away_is_told_for_how_long(side: int) -> None:
    turns = np.zeros(FRAMES)
    turns[10:20] = side * (FAR_TURN + 10)
    (told,) = avatar_notices(INFO, Findings(), track(), doubts(turns))
    assert told["code"] == NoticeCode.TURNED_FACE
    assert told["seconds"] == pytest.approx(0.4, abs=0.09)  # neighbours steady each other


def test_a_head_that_is_turned_a_little_is_not() -> None:
    assert avatar_notices(INFO, Findings(), track(), doubts(np.full(FRAMES, FAR_TURN - 5))) == []


@pytest.mark.parametrize(("height", "codes"), [(63, [NoticeCode.SMALL_FACE]), (65, [])])
def test_a_small_face_is_told(height: int, codes: list[str]) -> None:
    told = avatar_notices(INFO, Findings(), track(height), doubts(height=height))
    assert [each["code"] for each in told] == codes


def test_a_face_that_is_followed_while_it_is_out_of_sight_is_lost_meanwhile() -> None:
    """Its box goes on between the frames that show it; those that do not pass through unchanged."""
    study = study_of(talk(FRAMES))
    study.meshes[np.arange(FRAMES) % 3 > 0] = np.nan
    (told,) = avatar_notices(INFO, Findings(), track(), doubts_of(track(), study, meet(study, 25.0), SIZE))
    assert told["code"] == NoticeCode.FACE_LOST
    assert told["seconds"] == pytest.approx(26 / 25)


def test_a_chin_outside_of_the_picture_is_told() -> None:
    study = study_of(talk(FRAMES))
    chins = study.meshes[:, 152, :2]
    for share, codes in ((2.0, []), (0.5, [NoticeCode.CROPPED_FACE])):
        size = round(float(np.ptp(study.meshes[0, :, 0])) * 10), round(float(chins[:, 1].max()) * share)
        told = avatar_notices(INFO, Findings(), track(), doubts_of(track(), study, meet(study, 25.0), size))
        assert [each["code"] for each in told] == codes


def test_lips_that_the_edge_of_the_picture_cuts_are_hidden_by_nothing_else() -> None:
    study = study_of(talk(FRAMES))
    covers = replace(study.covers, lips=np.ones(FRAMES, np.float32), lips_before=np.array(1.0, np.float32))
    study = replace(study, covers=covers)
    right = round(float(study.meshes[:, 61, 0].max())) + 20
    for width, code in ((right, NoticeCode.CROPPED_FACE), (10_000, NoticeCode.HIDDEN_MOUTH)):
        found = doubts_of(track(), study, meet(study, 25.0), (width, 10_000))
        (told,) = avatar_notices(INFO, Findings(), track(), found)
        assert told["code"] == code
        assert told["seconds"] == pytest.approx(FRAMES / 25)
