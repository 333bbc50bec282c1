"""The drawn inside of a mouth, looked at on the front of the portrait's mesh; lengths in millimetres."""

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from app.faces.types import FaceLandmarks
from app.media.frames import FrameLayout, I420Frame, Plane
from app.mouths.bending import BENT, Placing, place
from app.mouths.inside import Inside, draw_inside
from app.mouths.lips import above_lower_lip, between_lips
from app.mouths.looks import skin_of
from app.mouths.meeting import meet
from app.mouths.points import (
    BELOW_LIP,
    CHIN,
    JAW,
    LOWER_LIP_INNER,
    LOWER_LIP_OUTER,
    UPPER_LIP_INNER,
    UPPER_LIP_OUTER,
)
from app.mouths.shown import ShownInside, shown_inside
from app.rendering.sampling import Lent, Opened, Region, sampled
from tests.support.clips import portrait
from tests.support.faces import portrait_face
from tests.support.frames import i420
from tests.support.mouths import front_mesh, study_of
from tests.support.shut import LAYOUT, mesh_of

SIDE = 640
WHOLE: Region = (0, SIDE, 0, SIDE)
SKIN = np.array([100, 125, 165], np.float32)
NO_TEETH = np.zeros(2, np.float32)
MIDDLE = SIDE // 2


@cache
def shut_mesh(scale: float = 200.0) -> FaceLandmarks:
    """Return the mesh with lips that touch, the inner corners of the eyes ``scale`` pixels apart."""
    mesh = front_mesh()[:, :2].copy()
    half = (mesh[list(LOWER_LIP_INNER)] - mesh[list(UPPER_LIP_INNER)]) / 2
    for upper, lower in ((UPPER_LIP_INNER, LOWER_LIP_INNER), (UPPER_LIP_OUTER, LOWER_LIP_OUTER)):
        mesh[list(upper)] += half
        mesh[list(lower)] -= half
    mesh -= mesh[[13, 14]].mean(axis=0)
    return np.asarray(scale * mesh + MIDDLE, np.float32)


def millimetre(mesh: FaceLandmarks) -> float:
    width, eyes = (float(np.linalg.norm(mesh[a] - mesh[b])) for a, b in ((61, 291), (33, 263)))
    return max(width / 50, eyes / 110)


def opened(mesh: FaceLandmarks, falls: float, rises: float = 0.0) -> Placing:
    """Return a mouth whose lower lip falls and whose upper lip rises in its middle by so many millimetres."""
    goal, unit = mesh.astype(np.float64), millimetre(mesh)
    share = np.sin(np.linspace(0, np.pi, 11))[:, None] ** 0.5 * (0, unit)
    for rows, far in (
        ((LOWER_LIP_INNER, LOWER_LIP_OUTER), falls),
        ((UPPER_LIP_INNER, UPPER_LIP_OUTER), -rises),
    ):
        for row in rows:
            goal[list(row)] += far * share
    goal[[*JAW, *CHIN, *BELOW_LIP]] += (0, falls * unit)
    return Placing(np.array([[1.0, 0, 0], [0, 1.0, 0]]), mesh, np.zeros((468, 2)), (goal - mesh)[BENT])


def drawn(placing: Placing, skin: npt.NDArray[np.float32] = SKIN, region: Region = WHOLE) -> Inside:
    inside = draw_inside(placing, placing.laid, skin, NO_TEETH, region)
    assert inside is not None
    return inside


def below(inside: Inside, millimetres: float, aside: float = 0.0) -> float:
    """Return how bright a place below the middle of the resting lips is, over the skin."""
    unit = millimetre(shut_mesh())
    row = round(MIDDLE + millimetres * unit) - inside.region[0]
    column = round(MIDDLE + aside * unit) - inside.region[2]
    return float(inside.picture[row, column].mean() / SKIN.mean())


def teeth_edge(inside: Inside) -> float:
    """Return where the upper incisors end, millimetres below the middle of the resting lips."""
    unit = millimetre(shut_mesh())
    column = inside.picture[:, round(MIDDLE + 4 * unit) - inside.region[2]].mean(axis=1)
    start = MIDDLE - inside.region[0]
    bright = np.flatnonzero(column[start:] < 0.5 * column[start : start + round(unit)].max())
    return float(bright[0] / unit)


def edge_of_teeth(inside: Inside) -> npt.NDArray[np.float64]:
    """Return where upper teeth end at some places across the mouth, millimetres below its middle."""
    unit = millimetre(shut_mesh())
    edges = []
    for aside in (-15, -12, -9, -6, -3, 3, 6, 9, 12, 15):
        column = inside.picture[:, round(MIDDLE + aside * unit) - inside.region[2]].mean(axis=1)
        fall = cv2.GaussianBlur(column[:, None], (1, 0), 0, sigmaY=2)[:, 0]
        start = MIDDLE - round(2 * unit) - inside.region[0]
        edges.append((start + np.diff(fall[start : start + round(6 * unit)]).argmin()) / unit)
    return np.array(edges)


def test_upper_teeth_stay_on_the_skull_while_the_lips_go() -> None:
    edges = [teeth_edge(drawn(opened(shut_mesh(), falls))) for falls in (8.0, 14.0, 20.0)]
    assert 1 < min(edges) <= max(edges) < min(edges) + 0.3 < 4
    assert teeth_edge(drawn(opened(shut_mesh(), 14.0, rises=2.0))) == pytest.approx(edges[1], abs=0.3)


@cache
def turned(degrees: float) -> tuple[Placing, Inside]:
    """Return the portrait's mouth opened wide, with all its upper teeth, on a head turned to the side."""
    study = study_of(np.zeros((1, 1)), turns=(degrees,))
    person = meet(replace(study, meshes=8 * study.meshes), 25.0)
    landmarks = person.study.meshes[..., :2]
    placing = place(person, landmarks, 0, 0, np.array([4.0, 0, 0, 0, 0, 0]))
    inside = draw_inside(placing, landmarks[0], SKIN, np.array([5, 0], np.float32), (0, 4096, 0, 4096))
    assert inside is not None
    return placing, inside


@pytest.mark.parametrize("degrees", [-40, -20, 20, 40])
def test_teeth_are_as_tall_on_a_head_that_is_turned(degrees: float) -> None:
    heights = []
    for placing, inside in (turned(0), turned(degrees)):
        left = int(placing.laid[13, 0] + 0.1 * np.ptp(placing.laid[[61, 291], 0])) - inside.region[2]
        column = inside.picture[:, left].mean(axis=1)
        last = int((column < 0.5 * column.max()).argmax())
        heights.append(last + inside.region[0] - placing.laid[13, 1])
    assert heights[0] > 40
    assert heights[1] == pytest.approx(heights[0], rel=0.1)


@pytest.mark.parametrize("degrees", [-40, 0, 40])
def test_teeth_go_around_a_mouth_that_is_turned(degrees: float) -> None:
    """They end as far from the near corner as from the far one, of what is seen of each side."""
    placing, inside = turned(degrees)
    row = round(float(placing.points[13, 1])) + 8 - inside.region[0]
    light = inside.picture[row].mean(axis=1)
    lit = np.flatnonzero(light > 0.3 * light.max()) + inside.region[2]
    right, middle, left = placing.laid[[61, 13, 291], 0]
    shares = (middle - lit[0]) / (middle - right), (lit[-1] - middle) / (left - middle)
    assert shares[0] == pytest.approx(shares[1], abs=0.1)


def test_lower_teeth_go_with_the_jaw() -> None:
    unit = millimetre(shut_mesh())
    near = []
    for falls in (10.0, 16.0):
        inside = drawn(opened(shut_mesh(), falls))
        lowest = round(MIDDLE + falls * unit) - inside.region[0]
        column = inside.picture[:, round(MIDDLE + 2.6 * unit) - inside.region[2]].mean(axis=1)
        near.append(column[lowest - round(0.4 * unit)] / column[lowest - round(4 * unit)])
        assert near[-1] > 1.05
    assert near[0] == pytest.approx(near[1], rel=0.5)


def test_where_no_teeth_are_it_is_dark() -> None:
    inside = drawn(opened(shut_mesh(), 18.0))
    cavity = below(inside, 5.0)
    assert cavity < 0.3
    assert below(inside, 12.0) < 0.6
    assert below(inside, 1.0) > 2.5 * cavity
    assert below(inside, 0.8, aside=20.0) < below(inside, 0.8)


def test_teeth_that_are_wanted_show_more_of_them() -> None:
    placing = opened(shut_mesh(), 14.0)
    told = draw_inside(placing, placing.laid, SKIN, np.array([3, 0], np.float32), WHOLE)
    assert told is not None
    assert teeth_edge(told) > teeth_edge(drawn(placing)) + 1


def test_teeth_have_the_colour_that_the_person_s_are_known_to_have() -> None:
    placing, own = opened(shut_mesh(), 14.0), np.array([120.0, 180.0, 200.0])
    told = draw_inside(placing, placing.laid, SKIN, NO_TEETH, WHOLE, own)
    assert told is not None
    row, column = MIDDLE - told.region[0] + 3, MIDDLE - told.region[2] + 5
    tooth = told.picture[row, column]
    assert tooth / tooth[2] == pytest.approx(own / own[2], abs=0.06)
    assert 0.6 < tooth[2] / own[2] <= 1


def test_a_slit_is_darker_than_an_open_mouth() -> None:
    slit, wide = (below(drawn(opened(shut_mesh(), falls)), 0.3) for falls in (0.8, 8.0))
    assert slit < 0.85 * wide


def test_teeth_in_a_slit_are_dark_and_lit_by_the_lips() -> None:
    unit = millimetre(shut_mesh())
    slit, wide = (drawn(opened(shut_mesh(), falls)) for falls in (2.0, 10.0))
    tooth = [
        one.picture[MIDDLE + round(unit) - one.region[0], MIDDLE + round(4 * unit) - one.region[2]]
        for one in (slit, wide)
    ]
    assert tooth[0].mean() < 0.7 * tooth[1].mean()
    assert tooth[0][2] / tooth[0][0] > 1.1 * tooth[1][2] / tooth[1][0]


def test_teeth_do_not_follow_the_waves_of_a_lip() -> None:
    even, waves = shut_mesh(), shut_mesh().copy()
    for row in (UPPER_LIP_INNER, LOWER_LIP_INNER):
        waves[list(row), 1] += 1.5 * millimetre(even) * np.cos(np.arange(11) * np.pi) * np.hanning(11)
    edges = [edge_of_teeth(drawn(opened(mesh, 12.0))) for mesh in (even, waves)]
    assert np.ptp(edges[1] - edges[0]) < 0.8


def test_in_a_black_and_white_picture_the_inside_is_grey() -> None:
    inside = drawn(opened(shut_mesh(), 14.0), np.array([130, 130, 131], np.float32))
    assert np.ptp(inside.picture, axis=2).max() < 2
    assert np.ptp(inside.picture.mean(axis=2)) > 60


def test_the_light_s_colour_is_that_of_the_skin() -> None:
    placing = opened(shut_mesh(), 14.0)
    cold = drawn(placing, np.array([165, 125, 100], np.float32))
    row, column = (MIDDLE - inside for inside in (cold.region[0], cold.region[2]))
    blue = [
        one.picture[row + 3, column + 5, 0] / one.picture[row + 3, column + 5, 2]
        for one in (cold, drawn(placing))
    ]
    assert blue[0] > 1.3 * blue[1]
    dark = drawn(placing, 0.4 * SKIN)
    assert (
        0.4
        < dark.picture[row + 3, column + 5].mean() / drawn(placing).picture[row + 3, column + 5].mean()
        < 0.9
    )


def gray(luma: int) -> I420Frame:
    layout = FrameLayout(SIDE, SIDE)
    frame = np.full(layout.frame_bytes, 128, np.uint8)
    layout.planes(frame)[0][:] = luma
    return frame


def laid(placing: Placing, *, inside: bool, region: Region = WHOLE) -> list[Plane]:
    told = Opened(SKIN, NO_TEETH) if inside else None
    lent = Lent(gray(140), placing, opened=told)
    return sampled(FrameLayout(SIDE, SIDE), lent, placing.laid, region).planes


def test_nothing_changes_outside_of_the_lips() -> None:
    placing = opened(shut_mesh(), 14.0)
    shown = cv2.dilate(between_lips(placing.points, WHOLE), np.ones((3, 3))) > 0
    for made, plain in zip(laid(placing, inside=True), laid(placing, inside=False), strict=True):
        scale = SIDE // len(made)
        changed = made != plain
        assert changed.any()
        assert not (changed & ~shown[::scale, ::scale]).any()


def test_between_lips_that_touch_nothing_is_drawn() -> None:
    placing = opened(shut_mesh(), 0.0)
    for made, plain in zip(laid(placing, inside=True), laid(placing, inside=False), strict=True):
        assert (made == plain).all()


def test_nothing_is_drawn_where_all_that_the_lender_shows_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    placing = opened(shut_mesh(), 14.0)
    monkeypatch.delattr(Inside, "picture")
    told = Opened(SKIN, NO_TEETH, ShownInside(1.0, None))
    made = sampled(FrameLayout(SIDE, SIDE), Lent(gray(140), placing, opened=told), placing.laid, WHOLE).planes
    assert (made[0] == 140).all()


@pytest.mark.parametrize("region", [(0, MIDDLE + 8, 0, MIDDLE + 20), (MIDDLE + 12, SIDE, MIDDLE - 10, SIDE)])
def test_at_the_edge_of_the_frame_the_rest_is_drawn_as_elsewhere(region: Region) -> None:
    inside, whole = drawn(opened(shut_mesh(), 14.0), region=region), drawn(opened(shut_mesh(), 14.0))
    top, bottom, left, right = inside.region
    assert region[0] <= top < bottom <= region[1]
    assert region[2] <= left < right <= region[3]
    part = whole.picture[
        top - whole.region[0] : bottom - whole.region[0], left - whole.region[2] : right - whole.region[2]
    ]
    assert inside.picture[6:-6, 6:-6] == pytest.approx(part[6:-6, 6:-6], abs=3)


def test_beyond_the_frame_nothing_is_drawn() -> None:
    placing = opened(shut_mesh(), 14.0)
    assert draw_inside(placing, placing.laid, SKIN, NO_TEETH, (0, 100, 0, SIDE)) is None


def test_a_face_of_20_pixels_gets_a_mouth_too() -> None:
    mesh = shut_mesh(20 / (np.ptp(front_mesh()[:, 0])))
    assert np.ptp(mesh[:, 0]) == pytest.approx(20, abs=0.5)
    placing = opened(mesh, 16.0)
    made, plain = (laid(placing, inside=inside)[0].astype(int) for inside in (True, False))
    changed = np.argwhere(made != plain)
    assert len(changed)
    assert np.ptp(changed, axis=0).max() <= 14
    assert made.min() < 100


def test_the_teeth_of_a_smile_stay_where_they_are() -> None:
    """The portrait smiles; her jaw falls by 8 mm."""
    frame, landmarks = i420(portrait(), LAYOUT), portrait_face()[0]
    mesh = mesh_of(portrait())
    placing = opened(mesh, 8.0)
    region: Region = (0, 512, 0, 512)
    own = between_lips(mesh, region)
    skin = skin_of(portrait(), mesh.astype(np.float64))
    told = Opened(skin, NO_TEETH, shown_inside(LAYOUT, frame, mesh, skin))
    luma = sampled(LAYOUT, Lent(frame, placing, opened=told), landmarks, region).planes[0]
    core = cv2.erode((own > 0.95).astype(np.uint8), np.ones((3, 3))) > 0
    difference = np.abs(luma.astype(int) - LAYOUT.planes(frame)[0])[core]
    assert core.sum() > 60
    assert np.median(difference) <= 5
    assert np.percentile(difference, 90) <= 10


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_the_edge_of_a_lower_lip_is_left_out_where_it_is_on_the_head(quarters: int) -> None:
    """Which leans by so many quarters of a turn."""
    upright, left_out = mesh_of(portrait())[:, :2], []
    for turns in (0, quarters):
        mesh = upright
        for _ in range(turns):
            mesh = np.column_stack([mesh[:, 1], 511 - mesh[:, 0]]).astype(np.float32)
        lips = mesh[[*UPPER_LIP_INNER, *LOWER_LIP_INNER]]
        low, high = (edge.astype(int) for edge in (lips.min(axis=0) - 8, lips.max(axis=0) + 8))
        within = between_lips(mesh, (low[1], high[1], low[0], high[0]))
        edge = np.zeros((512, 512))
        edge[low[1] : high[1], low[0] : high[0]] = within - above_lower_lip(within, mesh)
        left_out.append(edge)
    one, other = (
        cv2.GaussianBlur(edge, (0, 0), 1) for edge in (np.rot90(left_out[0], quarters), left_out[1])
    )
    assert one.sum() > 20
    assert np.abs(one - other).sum() < 0.2 * one.sum()
