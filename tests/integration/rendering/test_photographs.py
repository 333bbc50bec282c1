"""Photographs of somebody with shut lips, and of a smile, speak: looked at in the decoded MP4."""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from app.avatars.builder import AvatarRequest
from app.faces.types import FaceLandmarks
from app.media.frames import BgrImage
from app.media.limits import AudioLimits
from app.mouths.points import LOWER_LIP_INNER, LOWER_LIP_OUTER, UPPER_LIP_INNER, UPPER_LIP_OUTER
from app.rendering.renderer import Renderer, RenderRequest
from app.rendering.workspace import Workspace
from tests.support.avatars import builder, no_progress
from tests.support.clips import beginning, portrait
from tests.support.models import default_model, form_of
from tests.support.shut import LAYOUT, aperture, mesh_of, shut_portrait
from tests.support.videos import decode

SPEECH = Path(__file__).parents[3] / "demo/speech.wav"
EVERY = 5


def speaking(root: Path, photo: BgrImage) -> list[BgrImage]:
    """Return every fifth frame of three seconds of speech from a photograph."""
    cv2.imwrite(str(root / "photo.png"), photo)
    made = builder(root / "avatars", form=form_of(default_model()))
    made.build(AvatarRequest("photo", root / "photo.png", "photo.png"), no_progress)
    workspace = Workspace(root / "job")
    request = RenderRequest("photo", beginning(SPEECH, root / "words.wav", 3.0))
    Renderer(default_model(), made.store, made.cache, AudioLimits(60)).render(request, workspace, no_progress)
    return [LAYOUT.to_bgr(frame) for frame in decode(workspace.result).frames[::EVERY]]


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> list[BgrImage]:
    return speaking(tmp_path_factory.mktemp("shut"), shut_portrait())


@pytest.fixture(scope="module")
def smiling(tmp_path_factory: pytest.TempPathFactory) -> list[BgrImage]:
    """The portrait's smile, in light in which teeth are less blue than skin."""
    return speaking(tmp_path_factory.mktemp("smile"), warm_smile())


@cache
def warm_smile() -> BgrImage:
    return np.asarray(np.clip(portrait() * np.array([0.75, 0.9, 1.15]), 0, 255), np.uint8)


def lip_tint(picture: BgrImage) -> npt.NDArray[np.float64]:
    """Return the median a* and b* of CIELAB of both lips.

    Not their lightness: the mesh lies a pixel or two off, and then takes in some of the dark inside.
    """
    mesh = mesh_of(picture)
    mask = np.zeros(picture.shape[:2], np.uint8)
    for outer, inner in ((UPPER_LIP_OUTER, UPPER_LIP_INNER), (LOWER_LIP_OUTER, LOWER_LIP_INNER)):
        line = np.concatenate([mesh[list(inner)], mesh[list(outer)][::-1]])
        cv2.fillPoly(mask, [np.rint(line).astype(np.int32)], 255)
    lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_BGR2LAB)
    return np.asarray(np.median(lab[mask > 0][:, 1:], axis=0), np.float64)


def between(picture: BgrImage, mesh: FaceLandmarks) -> npt.NDArray[np.float64]:
    """Return the brightness of what lies between the lips, 0..255."""
    mask = np.zeros(picture.shape[:2], np.uint8)
    line = np.concatenate([mesh[list(UPPER_LIP_INNER)], mesh[list(LOWER_LIP_INNER)][::-1]])
    cv2.fillPoly(mask, [np.rint(line).astype(np.int32)], 255)
    return np.asarray(picture[mask > 0].mean(axis=1), np.float64)


def test_the_mouth_opens_and_shuts(spoken: list[BgrImage]) -> None:
    own = aperture(mesh_of(shut_portrait()))
    apertures = [aperture(mesh_of(frame)) for frame in spoken]
    assert max(apertures) > own + 0.04
    assert min(apertures) < own + 0.02


def test_what_opens_has_teeth_and_a_dark_inside(spoken: list[BgrImage]) -> None:
    widest = max(spoken, key=lambda frame: aperture(mesh_of(frame)))
    seen = between(widest, mesh_of(widest))
    dark, bright = np.percentile(seen, [5, 95])
    assert bright > 110
    assert dark < 0.6 * bright


def test_the_lips_keep_their_colour(spoken: list[BgrImage]) -> None:
    own = lip_tint(shut_portrait())
    assert max(float(np.linalg.norm(lip_tint(frame) - own)) for frame in spoken) < 6


def test_a_smile_closes_and_opens_again_over_its_own_teeth(smiling: list[BgrImage]) -> None:
    own = aperture(mesh_of(warm_smile()))
    apertures = [aperture(mesh_of(frame)) for frame in smiling]
    assert min(apertures) < 0.4 * own
    assert 0.8 * own < max(apertures) < 1.35 * own
    widest = smiling[int(np.argmax(apertures))]
    mesh = mesh_of(warm_smile())
    apart = np.median(np.abs(between(widest, mesh) - between(warm_smile(), mesh)))
    assert apart < 12
    assert np.percentile(between(widest, mesh), 5) > 0.6 * np.percentile(between(warm_smile(), mesh), 5)
