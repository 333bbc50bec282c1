from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from app.errors import InvalidRequest, NoFace
from tests.support.clips import moving_portrait
from training.evaluation.halves import RATE
from training.evaluation.judge import judge
from training.evaluation.mouths import SIDE, MouthFacts, Mouths
from training.evaluation.scores import LEAST_FRAMES, at_lag, correlations, longest_run, score
from training.evaluation.service import Service
from training.evaluation.sounds import WORDLESS
from training.evaluation.tracking import FaceFollower

RNG = np.random.default_rng(0)
COUNT = 60
FACE = cv2.resize(moving_portrait(0, 320, 240)[40:200, 80:240], (SIDE, SIDE))
APERTURES = 0.1 + 0.1 * np.abs(np.sin(np.arange(COUNT) / 3) + 0.3 * RNG.standard_normal(COUNT))


def facts(index: int, aperture: float) -> MouthFacts:
    """A mouth that is darker inside and shows more teeth the wider it is open, in a picture with grain."""
    grain = np.random.default_rng(index).integers(0, 9, FACE.shape)
    return MouthFacts(
        steady=np.clip(FACE + grain, 0, 255).astype(np.uint8),
        aperture=aperture,
        sharpness=5 + aperture,
        lips=np.array([50.0, 25, 10]) + 0.5 * np.sin(index),
        skin=np.array([60.0, 12, 12]),
        area=900 + 50 * np.sin(index),
        teeth=aperture / 2,
        dark=0.7 - aperture,
    )


def mouths(apertures: npt.NDArray[np.float64]) -> Mouths:
    return Mouths([facts(k, float(gap)) for k, gap in enumerate(apertures)], np.zeros((4, 2)))


def truth() -> Mouths:
    return mouths(APERTURES)


def changed(**changes: object) -> Mouths:
    """The truth, but for what is changed in every frame."""
    frames = [None if one is None else replace(one, **changes) for one in truth().frames]  # type: ignore[arg-type]
    return Mouths(frames, truth().canon)


def test_the_truth_itself_is_perfect() -> None:
    result = score(truth(), truth())
    assert result.follows == result.best == pytest.approx(1)
    assert result.lag == 0
    ratios = (result.spread, result.sharpness, result.teeth, result.dark, result.lip_area, result.jitter)
    assert ratios == pytest.approx([1] * 6)
    assert result.lip_color == pytest.approx(1)
    assert (result.freeze, result.frames) == (0, COUNT)


@pytest.mark.parametrize("late", [-3, 2])
def test_a_render_that_is_late_is_told_so(late: int) -> None:
    made = np.roll(APERTURES, late)
    result = score(mouths(made), truth())
    assert result.lag == late
    assert result.best > result.follows


def test_it_is_judged_at_the_lag_of_the_truth_s_own_file() -> None:
    late = mouths(np.roll(APERTURES, 1))
    assert score(late, truth(), early=1).follows == pytest.approx(score(late, truth()).best)
    half = score(late, truth(), early=0.5).follows
    assert score(late, truth()).follows < half < score(late, truth(), early=1).follows


def test_lips_of_another_colour_and_soft_gray_mouths_are_found_out() -> None:
    pale = score(changed(lips=np.array([60.0, 12, 12]), sharpness=2.5, teeth=0.0, dark=0.9), truth())
    assert pale.lip_color > 5
    assert pale.sharpness < 0.6
    assert pale.teeth == 0
    assert pale.dark > 1.3


def test_a_frozen_mouth_is_found_out() -> None:
    frames = truth().frames
    still = Mouths([frames[min(k, 20)] for k in range(COUNT)], truth().canon)
    result = score(still, truth())
    assert result.freeze >= COUNT - 21
    assert result.jitter < 0.5


def test_a_mouth_that_pops_is_found_out() -> None:
    frames = list(truth().frames)
    for k in range(0, COUNT, 6):
        one = frames[k]
        assert one is not None
        frames[k] = replace(one, steady=255 - one.steady)
    assert score(Mouths(frames, truth().canon), truth()).pop > 3


def test_frames_without_a_face_do_not_count() -> None:
    frames = [None if k in (5, 6, 30) else one for k, one in enumerate(truth().frames)]
    result = score(Mouths(frames, truth().canon), truth())
    assert result.frames == COUNT - 3
    assert result.best == pytest.approx(1)


def test_too_few_frames_are_refused() -> None:
    few = Mouths(truth().frames[: LEAST_FRAMES - 1], truth().canon)
    with pytest.raises(InvalidRequest, match="needed to judge"):
        score(few, truth())


def test_a_mouth_that_never_moves_follows_nothing() -> None:
    still = correlations(np.full(COUNT, 0.1), APERTURES)
    assert set(still.values()) == {0.0}
    assert at_lag(still, 0.3) == 0


def test_the_longest_run_is_found() -> None:
    assert longest_run(np.array([0, 1, 1, 0, 1, 1, 1], np.bool_)) == 3
    assert longest_run(np.zeros(4, np.bool_)) == 0


@pytest.mark.parametrize("name", sorted(WORDLESS))
def test_sounds_without_words_are_as_long_as_asked_for_and_do_not_clip(name: str) -> None:
    sound = WORDLESS[name](1.5)
    assert len(sound) == 1.5 * RATE
    assert np.abs(sound).max() <= 1
    assert (float(np.square(sound).mean()) > 0) is (name != "silence")


def test_a_swaying_face_is_followed_and_a_picture_without_one_is_not() -> None:
    follower = FaceFollower()
    places = [follower.follow(moving_portrait(k, 320, 240)) for k in range(0, 12, 3)]
    assert all(place is not None and 20 < np.ptp(place[:, 0]) < 320 for place in places)
    assert follower.follow(np.zeros((240, 320, 3), np.uint8)) is None


def test_clips_of_which_none_can_be_judged_are_no_report(tmp_path: Path) -> None:
    (tmp_path / "anna.mp4").write_bytes(b"no video at all")
    with pytest.raises(InvalidRequest, match=r"None of the 1 clips can be judged \(anna\.mp4: "):
        judge(Mock(Service), [tmp_path / "anna.mp4"], tmp_path / "report")


def test_a_clip_of_which_one_half_cannot_be_judged_is_left_out_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def halves(service: Service, person: str, *_: object) -> Iterator[str]:
        yield f"{person}-0"
        if person == "clip-1":
            raise NoFace("none")
        yield f"{person}-1"

    monkeypatch.setattr("training.evaluation.judge.cut", Mock())
    monkeypatch.setattr("training.evaluation.judge._judged", halves)
    verdict = judge(Mock(Service), [tmp_path / "anna.mp4", tmp_path / "ben.mp4"], tmp_path / "report")
    assert list(map(str, verdict.rows)) == ["clip-2-0", "clip-2-1"]
    assert verdict.left_out.keys() == {"anna.mp4"}


def test_two_clips_of_one_name_are_not_judged_together(tmp_path: Path) -> None:
    """What is written of a clip, truth and sheets, is called after its stem."""
    with pytest.raises(InvalidRequest, match="Two clips are named 'anna'"):
        judge(Mock(Service), [tmp_path / "a/anna.mp4", tmp_path / "b/anna.mov"], tmp_path / "report")
    assert not (tmp_path / "report").exists()
