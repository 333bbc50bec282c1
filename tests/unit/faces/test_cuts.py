import cv2
import numpy as np
import pytest

from app.faces.cuts import CutDetector, Flash, jumps_of, without_flashes
from app.faces.types import FaceMeshes
from app.media.frames import BgrImage, FrameLayout
from tests.support.clips import moving_portrait
from tests.support.frames import i420
from tests.support.mouths import front_mesh

LAYOUT = FrameLayout(160, 120)
FPS = 25.0


def told(pictures: list[BgrImage]) -> tuple[list[int], list[tuple[int, int]]]:
    is_cut = CutDetector(LAYOUT, FPS)
    return [index for index, each in enumerate(pictures) if is_cut(i420(each, LAYOUT))], [
        (flash.first, flash.after) for flash in is_cut.flashes if flash.lit
    ]


def dissolves(pictures: list[BgrImage], fps: float = FPS) -> list[int]:
    is_cut = CutDetector(LAYOUT, fps)
    for each in pictures:
        is_cut(i420(each, LAYOUT))
    return is_cut.dissolves


def cuts(pictures: list[BgrImage]) -> list[int]:
    return told(pictures)[0]


def head(index: int) -> BgrImage:
    return moving_portrait(index, 160, 120)


def lit(index: int, gain: float, light: float = 0.0) -> BgrImage:
    return np.asarray(np.clip(head(index).astype(np.float64) * gain + light, 0, 255), np.uint8)


@pytest.mark.parametrize("gain", [1.0, 0.15])
def test_another_picture_is_a_cut_and_so_is_the_way_back_in_any_light(gain: float) -> None:
    other = [np.ascontiguousarray(lit(index, gain)[::-1]) for index in range(8)]
    assert cuts([lit(index, gain) for index in range(8)] + other + [lit(9, gain)]) == [8, 16]


def test_neither_motion_nor_a_slow_fade_is_a_cut() -> None:
    fade = [lit(index, 1 - index / 30) for index in range(30)]
    assert cuts([head(3 * index) for index in range(30)]) == []
    assert cuts(fade) == cuts(fade[::-1]) == []


def test_grain_in_the_dark_is_no_cut() -> None:
    rng = np.random.default_rng(2)
    dark = [lit(index, 0.05) + rng.normal(8, 6, (120, 160, 1)) for index in range(20)]
    assert cuts([np.clip(each, 0, 255).astype(np.uint8) for each in dark]) == []


def test_a_camera_in_fast_motion_does_not_cut_all_the_time() -> None:
    wide = np.concatenate([moving_portrait(0, 400, 120)] * 2, axis=1)
    pan = [np.ascontiguousarray(wide[:, 12 * index : 12 * index + 160]) for index in range(40)]
    assert len(cuts(pan)) <= 2


def test_what_is_over_at_once_is_a_flash_and_what_stays_or_comes_back_later_is_none() -> None:
    calm = [head(index) for index in range(30)]
    flash = [*calm[:10], lit(10, 2, 60), *calm[11:20], lit(20, 2, 90), lit(21, 1.6, 50), *calm[22:]]
    assert told(flash)[1] == [(10, 11), (20, 22)]
    assert told(calm[:10] + [lit(index, 2, 60) for index in range(10, 20)] + calm[20:]) == ([10, 20], [])


def takes_turns(length: int) -> list[BgrImage]:
    """Return two views that take turns, each for so many frames."""
    return [lit(index, 1) if index // length % 2 == 0 else lit(index, 1)[::-1] for index in range(8 * length)]


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
def test_short_views_that_take_turns_are_parted_by_cuts_and_none_is_a_flash(length: int) -> None:
    pictures = [np.ascontiguousarray(each) for each in takes_turns(length)]
    assert told(pictures) == (list(range(length, 8 * length, length)), [])


def test_quick_cuts_to_ever_other_views_are_all_told() -> None:
    rng = np.random.default_rng(3)
    views = [
        np.kron(rng.integers(0, 256, (6, 8, 3)), np.ones((20, 20, 1))).astype(np.uint8) for _ in range(9)
    ]
    assert cuts([view for view in views for _ in range(2)]) == list(range(2, 18, 2))


def mixed(seconds: float, fps: float, gain: float = 1.0) -> list[BgrImage]:
    """Return three seconds of a shot that goes over into another from 1.5 s on."""
    pictures = []
    for index in range(round(3 * fps) + round(seconds * fps)):
        share = np.clip((index / fps - 1.5) / seconds, 0, 1)
        one = lit(index, gain)
        pictures.append(np.rint((1 - share) * one + share * one[::-1]).astype(np.uint8))
    return pictures


@pytest.mark.parametrize("fps", [10.0, 25.0, 60.0])
@pytest.mark.parametrize("seconds", [0.5, 1.0])
@pytest.mark.parametrize("gain", [1.0, 0.3])
def test_a_dissolve_is_told_once_about_its_middle(seconds: float, fps: float, gain: float) -> None:
    (found,) = dissolves(mixed(seconds, fps, gain), fps)
    assert found / fps == pytest.approx(1.5 + seconds / 2, abs=0.35 * seconds)


def test_neither_motion_fades_flashes_nor_few_frames_a_second_are_dissolves() -> None:
    wide = np.concatenate([moving_portrait(0, 400, 120)] * 2, axis=1)
    for step in (2, 4, 6):
        pan = [np.ascontiguousarray(wide[:, step * index : step * index + 160]) for index in range(60)]
        assert dissolves(pan) == []
    fade = [lit(index, 1 - index / 50) for index in range(50)]
    assert dissolves([*fade, *fade[::-1]]) == []
    white = [lit(index, abs(1 - index / 25), 235 * (1 - abs(1 - index / 25))) for index in range(50)]
    assert dissolves(white) == []
    assert dissolves([head(4 * index) for index in range(60)]) == []
    assert dissolves([lit(index, 1 + 0.8 * np.sin(index / 8)) for index in range(60)]) == []
    assert dissolves(mixed(1.0, 3.0), 3.0) == []


def test_a_camera_that_pans_over_what_is_out_of_focus_makes_no_dissolve() -> None:
    for seed in range(10):
        for blur, step, with_head in [(10, 0.6, True), (16, 1.3, True), (24, 2.0, True), (24, 2.0, False)]:
            noise = np.random.default_rng(seed).normal(size=(120, 480))
            wide = cv2.GaussianBlur(noise.astype(np.float32), (0, 0), blur)
            wide = 20 + 200 * (wide - wide.min()) / np.ptp(wide)
            pan = []
            for index in range(50):
                view = cv2.getRectSubPix(wide, (160, 120), (80 + step * index, 59.5))
                picture = np.repeat(np.rint(view).astype(np.uint8)[..., None], 3, axis=2)
                if with_head:
                    cv2.ellipse(picture, (80, 75), (20, 40), 0, 0, 360, (120, 150, 190), -1)
                pan.append(picture)
            assert dissolves(pan) == []


def test_a_thin_picture_has_a_small_thumbnail() -> None:
    layout = FrameLayout(2, 8192)
    is_cut = CutDetector(layout, 60)
    for _ in range(3):
        is_cut(np.zeros(layout.width * layout.height * 3 // 2, np.uint8))
    assert is_cut._last is not None
    assert is_cut._last.nbytes <= 1 << 16


def meshes(*shifts: float) -> FaceMeshes:
    """A mesh of 100 pixels that lies, frame by frame, so many of its sizes to the side; nan for none."""
    mesh = front_mesh()[:, :3] / np.ptp(front_mesh()[:, :2], axis=0).mean()
    aside = np.zeros((len(shifts), 1, 3))
    aside[:, 0, 0] = shifts
    return np.asarray(100 * (mesh + aside), np.float32)


def test_a_flash_is_no_cut_where_the_face_stays() -> None:
    there = np.array([False, False, True, True, False, True])
    stays, lost, leaves = (0, 0, 0.1, 0.1, 0, 0), (0, 0, np.nan, 0, 0, 0), (0, 0, 0, 0.5, 0, 0)
    for shifts, left in ((stays, [5]), (lost, [5]), (leaves, [2, 3, 5])):
        found = without_flashes(there, [Flash(2, 3, lit=True)], meshes(*shifts))
        assert np.flatnonzero(found).tolist() == left
    nowhere = meshes(*[np.nan] * 6)
    assert np.array_equal(without_flashes(there, [Flash(2, 3, lit=True)], nowhere), there)


def test_a_short_view_of_something_else_is_a_cut_if_it_shows_a_face() -> None:
    there = np.array([False, False, True, False, True, False])
    for shifts, left in (((0, 0, np.nan, 0, 0, 0), [2, 4]), ((0, 0, np.nan, np.nan, 0, 0), [])):
        found = without_flashes(there, [Flash(2, 4, lit=False)], meshes(*shifts))
        assert np.flatnonzero(found).tolist() == left


def test_a_short_view_of_the_face_in_another_place_is_no_flash() -> None:
    there = np.array([False, False, True, False, True, False])
    for shifts, left in (((0, 0, 0.6, 0.6, 0, 0), [2, 4]), ((0, 0, np.nan, 0.6, 0, 0), [2, 4])):
        assert (
            np.flatnonzero(without_flashes(there, [Flash(2, 4, lit=True)], meshes(*shifts))).tolist() == left
        )
    nearer = meshes(*[0] * 6)
    nearer[2:4] *= 1.5
    assert np.array_equal(without_flashes(there, [Flash(2, 4, lit=True)], nearer), there)


def test_a_face_jumps_that_goes_far_within_a_frame_and_moves_little_around_it() -> None:
    sway = 0.03 * np.sin(np.arange(20))
    cut = sway + 0.15 * (np.arange(20) >= 9)
    assert np.flatnonzero(jumps_of(meshes(*cut))).tolist() == [9]
    assert not jumps_of(meshes(*sway)).any()


@pytest.mark.parametrize("period", [5, 8, 12])
@pytest.mark.parametrize("size", [0.1, 0.3, 0.6])
def test_heads_that_nod_shake_start_and_stop_do_not_jump(size: float, period: int) -> None:
    nod = size * np.sin(2 * np.pi * np.arange(30) / period)
    assert not jumps_of(meshes(*nod)).any()
    start = size * np.clip((np.arange(30) - 10) / period, 0, 1)
    assert not jumps_of(meshes(*start)).any()


@pytest.mark.parametrize(("repeated", "period"), [(3, 5), (3, 8), (4, 8)])
@pytest.mark.parametrize("size", [0.1, 0.3, 0.6])
def test_heads_in_pictures_that_are_repeated_do_not_jump(size: float, period: int, repeated: int) -> None:
    """A camera that gives 10 pictures a second in the dark, in a file of 30."""
    tremor = np.random.default_rng(1).normal(0, 0.001, 20 * repeated)
    nod = np.repeat(size * np.sin(2 * np.pi * np.arange(20) / period), repeated) + tremor
    assert not jumps_of(meshes(*nod)).any()
    start = np.repeat(size * np.clip((np.arange(20) - 10) / period, 0, 1), repeated) + tremor
    assert not jumps_of(meshes(*start)).any()
    still = 0.2 * (np.arange(20 * repeated) >= 9) + tremor
    assert np.flatnonzero(jumps_of(meshes(*still))).tolist() == [9]


def test_nothing_is_a_jump_beside_frames_without_a_face() -> None:
    assert not jumps_of(meshes(0, 0, np.nan, np.nan, 0.5, 0.5, 0.5)).any()
    assert not jumps_of(meshes(*[np.nan] * 4)).any()
    assert not jumps_of(meshes()).any()
