from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.avatars.avatar import Avatar
from app.errors import AvatarNotFound, InvalidRequest, JobCanceled, NotAudio
from app.faces.types import has_face
from app.media.frames import I420Frame
from app.notices import NoticeCode
from app.rendering.options import RenderOptions
from app.rendering.renderer import Renderer, RenderRequest
from app.rendering.workspace import Workspace
from app.wav2lip.infer import Wav2LipInfer
from tests.support.avatars import no_progress
from tests.support.videos import decode

Speech = Callable[[float], Path]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "job")


def test_a_render_is_as_long_as_its_sound(renderer: Renderer, workspace: Workspace, speech: Speech) -> None:
    report = renderer.render(RenderRequest("anna", speech(1.7)), workspace, no_progress)
    result = decode(workspace.result)
    assert len(result.frames) == report.frame_count == round(1.7 * 25)
    assert abs(result.video_end - result.sound_end) <= Fraction(1, 25)


@pytest.mark.parametrize("fps", [Fraction("23.976"), Fraction(50)])
def test_another_frame_rate_may_be_asked_for(
    renderer: Renderer, workspace: Workspace, speech: Speech, fps: Fraction
) -> None:
    renderer.render(RenderRequest("anna", speech(0.6), RenderOptions(fps=fps)), workspace, no_progress)
    result = decode(workspace.result)
    assert len(result.frames) == round(0.6 * fps)
    assert abs(result.video_end - result.sound_end) <= 1 / fps


def test_a_finished_render_leaves_only_its_result(
    renderer: Renderer, workspace: Workspace, speech: Speech
) -> None:
    renderer.render(RenderRequest("anna", speech(0.2)), workspace, no_progress)
    assert {path.name for path in workspace.folder.iterdir()} == {"plan.json", "result.mp4"}


def test_the_stream_decodes_to_the_same_frames_as_the_result(
    renderer: Renderer, workspace: Workspace, speech: Speech, tmp_path: Path
) -> None:
    renderer.render(RenderRequest("anna", speech(1.6)), workspace, no_progress, keep_fragments=True)
    streamed = tmp_path / "streamed.mp4"
    parts = [workspace.init, workspace.fragment(0), workspace.fragment(1)]
    streamed.write_bytes(b"".join(part.read_bytes() for part in parts))
    ours, theirs = decode(workspace.result).frames, decode(streamed).frames
    assert len(ours) == len(theirs) == 40
    assert all((a == b).all() for a, b in zip(ours, theirs, strict=True))


class Stopwatch:
    """Cancels a render once ``after`` frames are done."""

    def __init__(self, after: int) -> None:
        self.after = after

    def __call__(self, done: int, total: int) -> None:
        if done >= self.after:
            raise JobCanceled("enough")


def test_a_render_goes_on_at_the_first_missing_segment(
    renderer: Renderer, workspace: Workspace, speech: Speech, tmp_path: Path
) -> None:
    request = RenderRequest("anna", speech(2.0))
    with pytest.raises(JobCanceled):
        renderer.render(request, workspace, Stopwatch(40))
    first = workspace.fragment(0)
    assert first.exists()
    assert not workspace.fragment(1).exists()
    born = first.stat().st_mtime_ns
    told: list[tuple[int, int]] = []
    report = renderer.render(
        request, workspace, lambda done, total: told.append((done, total)), keep_fragments=True
    )
    assert first.stat().st_mtime_ns == born
    assert (report.frames_rendered, report.frame_count) == (25, 50)
    assert next(pair for pair in told if pair != (0, 0)) == (25, 50)
    assert told[-1] == (50, 50)
    straight = Workspace(tmp_path / "straight")
    renderer.render(request, straight, no_progress)
    assert workspace.result.read_bytes() == straight.result.read_bytes()


def test_a_render_that_was_killed_while_clearing_up_is_made_again(
    renderer: Renderer, workspace: Workspace, speech: Speech
) -> None:
    request = RenderRequest("anna", speech(0.2))
    renderer.render(request, workspace, no_progress)
    first = workspace.result.read_bytes()
    renderer.render(request, workspace, no_progress)
    assert workspace.result.read_bytes() == first


def test_a_cancel_is_heard_while_the_sound_is_decoded(
    renderer: Renderer, workspace: Workspace, speech: Speech
) -> None:
    with pytest.raises(JobCanceled):
        renderer.render(RenderRequest("anna", speech(0.2)), workspace, Stopwatch(0))
    assert not workspace.plan.exists()


def test_segments_of_other_parameters_are_not_reused(
    renderer: Renderer, workspace: Workspace, speech: Speech
) -> None:
    with pytest.raises(JobCanceled):
        renderer.render(RenderRequest("anna", speech(2.0)), workspace, Stopwatch(40))
    report = renderer.render(
        RenderRequest("anna", speech(2.0), RenderOptions(quality="draft")), workspace, no_progress
    )
    assert report.frames_rendered == 50


def test_unknown_avatars_and_foreign_files_are_refused(
    renderer: Renderer, workspace: Workspace, tmp_path: Path, speech: Speech
) -> None:
    with pytest.raises(AvatarNotFound):
        renderer.render(RenderRequest("nobody", speech(0.2)), workspace, no_progress)
    text = tmp_path / "text.wav"
    text.write_text("no sound at all")
    with pytest.raises(NotAudio):
        renderer.render(RenderRequest("anna", text), workspace, no_progress)


@pytest.mark.parametrize(
    "wrong",
    [
        {"fps": Fraction(0)},
        {"fps": Fraction(121)},
        {"mouth_offset_ms": float("nan")},
        {"mouth_offset_ms": 5000.0},
        {"start_frame": -1},
        {"strength": float("nan")},
        {"strength": 1.6},
        {"strength": -0.1},
    ],
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest):
        RenderOptions(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "generates"), [(RenderOptions(strength=0.5), True), (RenderOptions(detail="footage"), False)]
)
def test_an_option_that_means_nothing_to_the_model_is_told(
    renderer: Renderer, workspace: Workspace, speech: Speech, options: RenderOptions, generates: bool
) -> None:
    report = renderer.render(RenderRequest("anna", speech(0.2), options), workspace, no_progress)
    said = [told["code"] for told in report.warnings]
    without = isinstance(renderer.infer, Wav2LipInfer) is generates
    assert said == ([NoticeCode.WITHOUT_EFFECT] if without else [])


@dataclass(frozen=True)
class MadeFrames:
    """The frames of a render before they are encoded, and the avatar's own frames that lie under them."""

    avatar: Avatar
    frames: list[I420Frame]
    own: list[I420Frame]


def made_frames(renderer: Renderer, avatar_id: str, sound: Path, workspace: Workspace) -> MadeFrames:
    request = RenderRequest(avatar_id, sound)
    with renderer.open(request, workspace, lambda: None) as render:
        avatar = render.maker.avatar
        made = [frame.copy() for frame in render.maker.make(range(render.plan.frame_count))]
        own = [np.empty(avatar.layout.frame_bytes, np.uint8) for _ in made]
        for index, frame in enumerate(own):
            avatar.frames.read_into(render.maker.timeline.avatar_frame(index), frame)
    return MadeFrames(avatar, made, own)


def test_outside_the_mask_every_pixel_is_the_avatars_own(
    renderer: Renderer, workspace: Workspace, speech: Speech
) -> None:
    made = made_frames(renderer, "anna", speech(0.48), workspace)
    layout, touched = made.avatar.layout, 0
    for index, (frame, own) in enumerate(zip(made.frames, made.own, strict=True)):
        y1, y2, x1, x2 = made.avatar.boxes[index].tolist()
        planes = zip(layout.planes(frame), layout.planes(own), strict=True)
        for scale, (new, old) in zip((1, 2, 2), planes, strict=True):
            changed = np.argwhere(new != old) * scale
            touched += len(changed) > 0
            if len(changed):
                assert changed[:, 0].min() >= (y1 + y2) // 2 - 2
                assert changed[:, 0].max() < y2
                assert changed[:, 1].min() >= x1 - 1
                assert changed[:, 1].max() < x2
    assert touched >= len(made.frames)


def test_frames_without_a_face_pass_through_untouched(
    renderer: Renderer, workspace: Workspace, speech: Speech
) -> None:
    made = made_frames(renderer, "blank", speech(0.96), workspace)
    faceless = ~has_face(made.avatar.boxes)
    assert faceless[9:15].all()
    assert not faceless[:7].any()
    same = np.array([(a == b).all() for a, b in zip(made.frames, made.own, strict=True)])
    assert same[faceless].all()
    assert not same[[0, 1, 2, 3, -3, -2, -1]].all()


def test_an_error_in_the_model_ends_the_render_with_that_error(
    renderer: Renderer, workspace: Workspace, speech: Speech, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count()

    def broken(*arguments: Any) -> Any:
        if next(calls) == 2:
            raise RuntimeError("out of memory")
        return work(*arguments)

    model = renderer.infer
    part, name = (model, "render") if isinstance(model, Wav2LipInfer) else (model.ear, "hear")
    work = getattr(part, name)
    monkeypatch.setattr(part, name, broken)
    with pytest.raises(RuntimeError, match="out of memory"):
        renderer.render(RenderRequest("anna", speech(2.0)), workspace, no_progress)
    assert not workspace.result.exists()
