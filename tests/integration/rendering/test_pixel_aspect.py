"""Avatars of footage whose pixels are not square, and what is rendered of them."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from app.avatars.avatar import open_avatar
from app.avatars.builder import AvatarBuilder, AvatarRequest
from app.avatars.crops import LANDMARKS
from app.avatars.store import FRAMES
from app.media.limits import AudioLimits
from app.media.probe import probe_video
from app.mouths.model import LipModel
from app.notices import NoticeCode
from app.rendering.renderer import Renderer, RenderRequest
from app.rendering.workspace import Workspace
from tests.support import clips
from tests.support.avatars import FORM, LIMITS, builder, no_progress

PAL = Fraction(64, 45)
STORED_WIDTHS = {PAL: 270, Fraction(16, 11): 264}
"""Of footage that is shown 384 pixels wide and 288 high."""


def _footage(path: Path, aspect: Fraction, count: int = 10) -> Path:
    """Write the moving portrait, stored in pixels of an aspect; 1: as it is shown."""
    size = STORED_WIDTHS.get(aspect, 384), 288
    shown = (clips.moving_portrait(index, 384, 288) for index in range(count))
    stored = [np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8) for frame in shown]
    return clips.write_video(path, stored, options={"crf": "12"}, aspect=aspect)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> AvatarBuilder:
    """Avatars of the same footage: ``square``, ``pal``, ``wide``, and ``old`` of an earlier release."""
    root = tmp_path_factory.mktemp("aspects")
    made = builder(root / "avatars")
    for name, aspect in (("square", Fraction(1)), ("pal", PAL), ("wide", Fraction(16, 11))):
        video = _footage(root / f"{name}.mp4", aspect)
        made.build(AvatarRequest(name, video, video.name), no_progress)
    old = AvatarRequest("old", root / "pal.mp4", "pal.mp4")
    info = probe_video(old.video, LIMITS, replace(old.treatment, square=False))
    made.build(old, no_progress, info=info)
    return made


@pytest.mark.parametrize("name", ["pal", "wide"])
def test_faces_have_their_shape(studio: AvatarBuilder, name: str) -> None:
    manifest = studio.store.manifest(name)
    square, seen = (np.load(studio.store.path(one) / LANDMARKS) for one in ("square", name))

    assert (manifest.width, manifest.height, manifest.sample_aspect_ratio) == (384, 288, Fraction(1))
    assert [told["code"] for told in manifest.warnings].count(NoticeCode.PIXELS_MADE_SQUARE) == 1
    assert manifest.face_frames == manifest.frame_count
    np.testing.assert_allclose(seen, square, atol=2)


def test_of_square_pixels_nothing_is_said(studio: AvatarBuilder) -> None:
    manifest = studio.store.manifest("square")
    assert not manifest.treatment.square
    assert NoticeCode.PIXELS_MADE_SQUARE not in [told["code"] for told in manifest.warnings]


@pytest.mark.parametrize("name", ["pal", "old"])
def test_deleted_frames_are_rebuilt_exactly(studio: AvatarBuilder, name: str) -> None:
    frames = studio.store.path(name) / FRAMES
    before = frames.read_bytes()
    frames.unlink()
    open_avatar(studio.store, studio.cache, name, FORM).close()
    assert frames.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "size", "aspect"), [("pal", (384, 288), Fraction(1)), ("old", (270, 288), PAL)]
)
def test_results_are_shown_in_the_shape_of_the_footage(
    studio: AvatarBuilder,
    model: LipModel,
    speech: Callable[[float], Path],
    tmp_path: Path,
    name: str,
    size: tuple[int, int],
    aspect: Fraction,
) -> None:
    workspace = Workspace(tmp_path / "job")
    renderer = Renderer(model, studio.store, studio.cache, AudioLimits(max_seconds=600))
    renderer.render(RenderRequest(name, speech(0.2)), workspace, no_progress)
    with av.open(str(workspace.result)) as container:
        video = container.streams.video[0]
        assert (video.width, video.height, video.sample_aspect_ratio) == (*size, aspect)
