"""Several encoders at once make what one makes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.errors import JobCanceled
from app.rendering.encoding import lanes_for, threads_for
from app.rendering.options import RenderOptions
from app.rendering.renderer import Renderer, RenderRequest
from app.rendering.workspace import Workspace
from tests.support.avatars import no_progress
from tests.support.videos import decode

Speech = Callable[[float], Path]


def test_segments_encoded_at_once_are_those_encoded_in_turn(
    renderer: Renderer, speech: Speech, tmp_path: Path
) -> None:
    """The segments of 7.5 s are of 1, 2, 4 and 0.5 s; two lanes take two each."""
    results, told = [], []
    for encoders in (1, 2):
        workspace = Workspace(tmp_path / str(encoders))
        several = replace(renderer, encoders=encoders, encoder_threads=1)
        request = RenderRequest("anna", speech(7.5), RenderOptions(quality="draft"))
        report = several.render(request, workspace, lambda done, _: told.append(done))
        assert report.frames_rendered == told[-1] == 188
        assert report.stage_seconds["composite"] > 0
        results.append(decode(workspace.result).frames)
    assert len(results[0]) == len(results[1]) == 188
    assert all((a == b).all() for a, b in zip(*results, strict=True))


def test_all_encoders_stop_when_the_job_is_canceled(
    renderer: Renderer, speech: Speech, tmp_path: Path
) -> None:
    """The segments of 7 s are of 1, 2 and 4 s: one for each."""

    def cancel(done: int, total: int) -> None:
        if done >= 32:
            raise JobCanceled("enough")

    workspace = Workspace(tmp_path / "job")
    request = RenderRequest("anna", speech(7.0), RenderOptions(quality="draft"))
    with pytest.raises(JobCanceled):
        replace(renderer, encoders=3).render(request, workspace, cancel)
    assert not workspace.result.exists()
    assert len(list(workspace.segments.glob("*.m4s"))) < 2
    report = renderer.render(request, workspace, no_progress)
    assert report.frame_count == 175


def test_a_model_on_the_cpu_leaves_one_encoder_and_large_frames_leave_fewer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.rendering.encoding.usable_cores", lambda: 16)
    hd, uhd = 1280 * 720 * 3 // 2, 3840 * 2160 * 3 // 2
    assert lanes_for("cpu", hd, 8) == 1
    assert lanes_for("cuda:0", hd, 32) == 4
    assert lanes_for("cuda:0", uhd, 32) == 1
    assert lanes_for("cuda:0", hd, 32, "h264_nvenc") == 3


def test_encoders_share_the_cores_and_small_frames_take_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.rendering.encoding.usable_cores", lambda: 16)
    assert [threads_for(1080, lanes) for lanes in (1, 3, 4)] == [16, 6, 4]
    assert [threads_for(height, 1) for height in (720, 240, 2)] == [16, 7, 1]
    monkeypatch.setattr("app.rendering.encoding.usable_cores", lambda: 2)
    assert [threads_for(1080, lanes) for lanes in (1, 4)] == [2, 1]
