"""What of the picture a result shows, how large, and in which format: decoded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from app.errors import InvalidRequest
from app.media.frames import FrameLayout, I420Frame
from app.rendering.options import RenderOptions
from app.rendering.renderer import Renderer, RenderRequest
from app.rendering.workspace import Workspace
from tests.support.avatars import no_progress
from tests.support.videos import decode

Speech = Callable[[float], Path]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "job")


def size_of(path: Path) -> tuple[int, int]:
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        return video.width, video.height


def luma(frame: I420Frame, width: int, height: int) -> I420Frame:
    return FrameLayout(width, height).planes(frame)[0]


@pytest.mark.parametrize(("height", "width"), [(120, 160), (64, 86), (16, 22)])
def test_a_lower_height_scales_the_picture_down(
    renderer: Renderer, workspace: Workspace, speech: Speech, height: int, width: int
) -> None:
    request = RenderRequest("anna", speech(0.2), RenderOptions(height=height, keep="0-0.2", quality="high"))
    renderer.render(request, workspace, no_progress)
    result = decode(workspace.result).frames
    assert size_of(workspace.result) == (width, height)
    avatar = renderer.store.manifest("anna")
    own = np.empty(avatar.frame_bytes, np.uint8)
    with renderer.cache.open(avatar, lambda file, most: []) as frames:
        frames.read_into(3, own)
    expected = cv2.resize(luma(own, 320, 240), (width, height), interpolation=cv2.INTER_AREA)
    assert np.abs(luma(result[3], width, height).astype(int) - expected).mean() < 3


def test_the_faces_square_is_cut_out_without_touching_a_pixel(
    renderer: Renderer, workspace: Workspace, speech: Speech, tmp_path: Path
) -> None:
    sound = speech(0.48)
    with renderer.open(RenderRequest("anna", sound), workspace, lambda: None) as render:
        whole = [luma(frame, 320, 240).copy() for frame in render.maker.make(range(12))]
        boxes = render.maker.avatar.boxes
    options = RenderOptions(crop="face")
    with renderer.open(
        RenderRequest("anna", sound, options), Workspace(tmp_path / "b"), lambda: None
    ) as render:
        framing = render.maker.framing
        side = framing.width
        assert side == framing.height == framing.layout.width == framing.layout.height
        cut = [luma(frame, side, side).copy() for frame in render.maker.make(range(12))]
        render.begin()
        render.encode(render.segments, no_progress)
        render.join(lambda: None)
    assert size_of(tmp_path / "b" / "result.mp4") == (side, side)
    rows, columns = slice(framing.top, framing.top + side), slice(framing.left, framing.left + side)
    assert all((one[rows, columns] == other).all() for one, other in zip(whole, cut, strict=True))
    assert boxes[:, 0].min() >= framing.top
    assert boxes[:, 1].max() <= framing.top + side
    assert boxes[:, 2].min() >= framing.left
    assert boxes[:, 3].max() <= framing.left + side
    assert side < 240


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"height": 242}, "is 240 pixels high"),
        ({"height": 239, "crop": "face"}, "multiple of 2"),
        ({"height": 240, "crop": "face"}, "can only be made smaller"),
        ({"height": 14}, "greater than or equal to 16"),
        ({"height": -2}, "greater than or equal to 16"),
        ({"crop": "mouth"}, "'none' or 'face'"),
    ],
)
def test_sizes_that_cannot_be_are_refused_with_a_sentence(
    renderer: Renderer, workspace: Workspace, speech: Speech, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidRequest, match=said):
        renderer.render(RenderRequest("anna", speech(0.2), RenderOptions(**options)), workspace, no_progress)


def test_a_part_without_a_face_has_no_square(
    renderer: Renderer, workspace: Workspace, speech: Speech
) -> None:
    options = RenderOptions(crop="face", start=0.4, end=0.56)
    with pytest.raises(InvalidRequest, match="no face is visible"):
        renderer.render(RenderRequest("blank", speech(0.2), options), workspace, no_progress)
