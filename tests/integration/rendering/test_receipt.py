"""The receipt says of a render what its decoded frames are like."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from app.mouths.model import LipModel
from app.rendering import receipt as module
from app.rendering.comparing import Pair
from app.rendering.options import RenderOptions
from app.rendering.receipt import write_receipt
from app.rendering.renderer import Renderer, RenderRequest
from app.rendering.stages import note_stages
from app.rendering.workspace import Workspace
from tests.support.avatars import no_progress

Speech = Callable[[float], Path]
MODEL = {"name": "a model", "sha256": "ab" * 32}


@pytest.fixture
def receipt(renderer: Renderer, speech: Speech, tmp_path: Path) -> Callable[..., Any]:
    """Render ``seconds`` with an avatar and options, and return the receipt."""

    def receipt(avatar_id: str, seconds: float, **options: Any) -> Any:
        workspace = Workspace(tmp_path / "job")
        request = RenderRequest(avatar_id, speech(seconds), options=RenderOptions(**options))
        with renderer.open(request, workspace, lambda: None) as render:
            render.begin()
            render.encode(render.segments, no_progress)
            render.join(lambda: None)
            note_stages(workspace.stages, {"encode": 1.5})
            note_stages(workspace.stages, {"encode": 1.0, "mux": 0.5})
            write_receipt(render, MODEL, lambda: None)
        return json.loads(workspace.report.read_text())

    return receipt


def test_it_tells_lengths_offset_kinds_stages_and_model(
    receipt: Callable[..., Any], model: LipModel, tmp_path: Path
) -> None:
    told = receipt("anna", 1.6)
    assert told["length"] == {"sound": 1.6, "clip": 0.48, "video": 1.6, "audio": 1.6}
    assert told["offset"] == 0.0
    chosen = model.info.name == "mouthpiece"
    assert told["frames"]["total"] == 40
    assert told["frames"]["lent"] + told["frames"]["painted"] == 40
    assert chosen or told["frames"]["lent"] == 0
    assert told["stage_seconds"] == {"encode": 2.5, "mux": 0.5}
    assert told["model"] == MODEL
    assert 25 <= told["measured_frames"] <= 40
    seam, sharpness = (told[name]["result"] / told[name]["footage"] for name in ("seam", "sharpness"))
    if not chosen:
        assert seam > 2.5  # the tiny model knows nothing of faces, and that is seen
    else:
        assert 0.7 < seam < 1.3
        assert 0.3 < sharpness < 2
        assert told["following"]["correlation"] > 0
        assert told["following"]["lag"] is None  # 1.6 seconds of a face that is made up tell none
    sheet = cv2.imread(str(tmp_path / "job" / "sheet.jpg"))
    assert sheet is not None
    assert sheet.shape[1] == 3 * 484 + 4


def test_what_cannot_be_measured_is_null(
    receipt: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def strange(*_: Any) -> tuple[float, float]:
        return float("nan"), float("inf")

    monkeypatch.setattr(module, "following", strange)
    for measure in ("seams", "details"):
        monkeypatch.setattr(Pair, measure, strange)
    told = receipt("anna", 0.48)
    assert (told["seam"], told["sharpness"], told["following"]) == (None, None, None)


def test_frames_that_pass_are_counted_and_not_measured(receipt: Callable[..., Any]) -> None:
    told = receipt("blank", 0.96)
    assert told["frames"]["total"] == 24
    assert 8 <= told["frames"]["passed"] <= 16
    told = receipt("anna", 0.48, keep="0-0.48")
    assert told["frames"] == {"total": 12, "lent": 0, "painted": 0, "passed": 12}
    assert (told["seam"], told["sharpness"], told["following"]) == (None, None, None)


@pytest.mark.parametrize(
    ("avatar_id", "options"), [("anna", {"keep": "0-0.32"}), ("blank", {"start": 0.32, "end": 0.64})]
)
def test_a_render_without_a_changed_mouth_has_a_sheet_too(
    receipt: Callable[..., Any], tmp_path: Path, avatar_id: str, options: Any
) -> None:
    """Of faces as they are, and of frames without any; the footage beside the result."""
    assert receipt(avatar_id, 0.32, **options)["frames"]["passed"] == 8
    sheet = cv2.imread(str(tmp_path / "job" / "sheet.jpg"))
    assert sheet is not None
    own, made = sheet[4:244, 4:244].astype(int), sheet[4:244, 244:484].astype(int)
    assert np.abs(own - made).mean() < 3


def test_of_a_longer_render_every_other_frame_is_measured(receipt: Callable[..., Any]) -> None:
    assert receipt("anna", 2.4)["measured_frames"] == 13 + 13  # of 25 frames of each of two segments


def test_another_size_and_format_are_measured_alike(receipt: Callable[..., Any]) -> None:
    whole = receipt("anna", 0.6)
    square = receipt("anna", 0.6, crop="face", format="webm")
    assert square["length"]["video"] == pytest.approx(0.6, abs=0.05)
    for measure in ("seam", "sharpness"):
        assert square[measure]["footage"] == pytest.approx(whole[measure]["footage"], rel=0.2)


@pytest.fixture
def pair(renderer: Renderer, speech: Speech, tmp_path: Path) -> Iterator[Pair]:
    """A frame of the footage beside itself."""
    request = RenderRequest("anna", speech(0.2))
    with renderer.open(request, Workspace(tmp_path / "pair"), lambda: None) as render:
        avatar, framing = render.maker.avatar, render.maker.framing
        own = np.empty(avatar.layout.frame_bytes, np.uint8)
        avatar.frames.read_into(3, own)
        yield Pair(own, avatar, 3, framing, render.maker.mouths.leaning)


def test_a_visible_seam_and_a_blurred_mouth_are_told(pair: Pair) -> None:
    layout = pair.framing.layout
    made, own = pair.seams() or (0, 1)
    assert made == own
    made, own = pair.details() or (0, 1)
    assert made == own
    top, bottom, left, right = pair.box.tolist()
    luma = layout.planes(pair.made)[0]
    below = (top + bottom) // 2 + (bottom - top) // 8
    mouth = luma[below : bottom - 4, left + 8 : right - 8]
    mouth[:] = cv2.GaussianBlur(mouth, (0, 0), 3)
    made, own = pair.details() or (1, 1)
    assert made < 0.6 * own
    mouth[:] = np.minimum(mouth.astype(int) + 40, 255)
    made, own = pair.seams() or (1, 1)
    assert made > 1.2 * own


def test_faces_on_a_sheet_are_cut_where_they_are(pair: Pair) -> None:
    """Brightness tells the column: a small picture holds as much to the left of a face as to the right."""
    layout = pair.framing.layout
    luma, *chroma = layout.planes(pair.made)
    columns = np.arange(layout.width)
    luma[:] = np.rint(16 + 219 * columns / layout.width)
    for plane in chroma:
        plane[:] = 128
    _, made = np.split(pair.picture(12), 2, axis=1)
    middle = pair.box[2:].mean() - 0.5
    assert made.mean() == pytest.approx(255 * middle / layout.width, abs=1)
