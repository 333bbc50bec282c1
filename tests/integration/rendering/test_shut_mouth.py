"""A photograph of somebody with shut lips speaks: looked at in the decoded MP4."""

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
from tests.support.clips import beginning
from tests.support.models import default_model, form_of
from tests.support.shut import LAYOUT, aperture, mesh_of, shut_portrait
from tests.support.videos import decode

SPEECH = Path(__file__).parents[3] / "demo/speech.wav"
EVERY = 5


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> list[BgrImage]:
    """Every fifth frame of three seconds of speech from the photograph."""
    root = tmp_path_factory.mktemp("shut")
    photo = root / "shut.png"
    cv2.imwrite(str(photo), shut_portrait())
    made = builder(root / "avatars", form=form_of(default_model()))
    made.build(AvatarRequest("shut", photo, photo.name), no_progress)
    workspace = Workspace(root / "job")
    request = RenderRequest("shut", beginning(SPEECH, root / "words.wav", 3.0))
    Renderer(default_model(), made.store, made.cache, AudioLimits(60)).render(request, workspace, no_progress)
    return [LAYOUT.to_bgr(frame) for frame in decode(workspace.result).frames[::EVERY]]


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
    assert np.percentile(seen, 5) < 70
    assert np.percentile(seen, 95) > 110


def test_the_lips_keep_their_colour(spoken: list[BgrImage]) -> None:
    own = lip_tint(shut_portrait())
    assert max(float(np.linalg.norm(lip_tint(frame) - own)) for frame in spoken) < 6
