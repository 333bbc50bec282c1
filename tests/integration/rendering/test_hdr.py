"""High dynamic range that stays: 10-bit HEVC with the footage's tags, untouched but for the mouth."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from app.avatars.avatar import layout_of
from app.avatars.builder import AvatarBuilder, AvatarRequest
from app.errors import InvalidRequest, JobCanceled
from app.media.excerpts import read_frames
from app.media.frames import Color, yuv_to_bgr
from app.media.limits import AudioLimits
from app.media.tone_mapping import HLG, PQ, mapped
from app.mouths.model import LipModel
from app.notices import NoticeCode
from app.rendering.options import RenderOptions
from app.rendering.renderer import Renderer, RenderRequest
from app.rendering.workspace import Workspace
from tests.support import clips
from tests.support.avatars import builder, no_progress
from tests.support.hdr import decode_deep, hdr_head
from tests.support.models import tiny_model

Speech = Callable[[float], Path]


@pytest.fixture(scope="module")
def bright(tmp_path_factory: pytest.TempPathFactory) -> AvatarBuilder:
    """Avatars ``pq`` and ``hlg``, of half a second, ``tall``, and ``plain`` without a high dynamic range."""
    root = tmp_path_factory.mktemp("bright")
    made = builder(root / "avatars")
    for name, transfer in (("pq", PQ), ("hlg", HLG)):
        video = hdr_head(root / f"{name}.mp4", transfer)
        made.build(AvatarRequest(name, video, video.name), no_progress)
    tall = hdr_head(root / "tall.mp4", PQ, count=5, width=144, height=240)
    made.build(AvatarRequest("tall", tall, tall.name), no_progress)
    plain = clips.talking_head(root / "plain.mp4", 0.2)
    made.build(AvatarRequest("plain", plain, plain.name), no_progress)
    return made


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> LipModel:
    """A model whose mouths are as quick to make as can be."""
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def renderer(bright: AvatarBuilder, model: LipModel) -> Renderer:
    return Renderer(model, bright.store, bright.cache, AudioLimits(600))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "job")


@pytest.mark.parametrize(("avatar_id", "transfer"), [("pq", PQ), ("hlg", HLG)])
def test_a_high_dynamic_range_stays_with_its_tags(
    renderer: Renderer, workspace: Workspace, speech: Speech, tmp_path: Path, avatar_id: str, transfer: int
) -> None:
    options = RenderOptions(hdr="keep", quality="high")
    report = renderer.render(RenderRequest(avatar_id, speech(0.48), options), workspace, no_progress)
    assert report.warnings == []
    with av.open(str(workspace.result)) as container:
        stream, context = container.streams.video[0], container.streams.video[0].codec_context
        assert (context.name, context.codec_tag, context.pix_fmt) == ("hevc", "hvc1", "yuv420p10le")
        assert (context.color_primaries, context.color_trc, context.colorspace) == (9, transfer, 9)
        assert stream.frames == 12
    shown, own = decode_deep(workspace.result), decode_deep(hdr_head(tmp_path / "own.mp4", transfer))
    boxes = np.load(renderer.store.path(avatar_id) / "coords.npy")
    for picture, footage, (top, bottom, left, right) in zip(shown, own, boxes.tolist(), strict=True):
        outside = np.ones((240, 320), np.bool_)
        outside[(top + bottom) // 2 - 2 : bottom, left - 1 : right] = False
        apart = np.abs(picture[0].astype(int) - footage[0])
        assert apart[outside].mean() < 8  # of 1023, what the encoder does
        assert apart[~outside].mean() > 2 * apart[outside].mean()


def test_outside_of_the_mouth_every_value_is_the_footages_own(
    renderer: Renderer, workspace: Workspace, speech: Speech, tmp_path: Path
) -> None:
    own = decode_deep(hdr_head(tmp_path / "own.mp4", PQ))
    options = RenderOptions(hdr="keep", keep="0.2-0.28")
    with renderer.open(RenderRequest("pq", speech(0.48), options), workspace, lambda: None) as render:
        layout, boxes = render.maker.avatar.layout, render.maker.avatar.boxes
        for index, frame in enumerate(render.maker.make(range(12))):
            top, bottom, left, right = boxes[index].tolist()
            changed = [a != b for a, b in zip(layout.deep_planes(frame), own[index], strict=True)]
            if index in (5, 6):
                assert not any(each.any() for each in changed)
                continue
            rows, columns = np.nonzero(changed[0])
            assert len(rows) > 100
            assert rows.min() >= (top + bottom) // 2 - 3
            assert rows.max() <= bottom
            assert columns.min() >= left - 2
            assert columns.max() <= right + 1


@pytest.mark.parametrize(("avatar_id", "transfer"), [("pq", PQ), ("hlg", HLG)])
def test_a_mouth_has_the_colours_of_the_mapped_one(
    renderer: Renderer, speech: Speech, tmp_path: Path, avatar_id: str, transfer: int
) -> None:
    made = {}
    for hdr in ("map", "keep"):
        request = RenderRequest(avatar_id, speech(0.2), RenderOptions(hdr=hdr))
        with renderer.open(request, Workspace(tmp_path / hdr), lambda: None) as render:
            avatar = render.maker.avatar
            made[hdr] = [frame.copy() for frame in render.maker.make(range(5))]
    shown = avatar.layout.to_bgr(made["map"][3])
    planes = avatar.layout.deep_planes(made["keep"][3])
    large = [cv2.resize(plane, (320, 240), interpolation=cv2.INTER_LINEAR) / 4 for plane in planes]
    matrix = yuv_to_bgr(Color("bt2020", "limited", 9, transfer, 9))
    bgr = np.dstack(large) @ matrix[:, :3].T + matrix[:, 3]
    back = 255 * mapped(np.clip(bgr[..., ::-1] / 255, 0, 1), transfer)[..., ::-1]
    top, bottom, left, right = avatar.boxes[3].tolist()
    mouth = slice((top + bottom) // 2, bottom), slice(left, right)
    assert np.abs(back[mouth] - shown[mouth]).mean() < 5


@pytest.mark.parametrize("avatar_id", ["pq", "hlg"])
def test_a_receipt_sees_the_mapped_colours(
    renderer: Renderer, workspace: Workspace, speech: Speech, avatar_id: str
) -> None:
    options = RenderOptions(hdr="keep", quality="high", keep="0-0.2")
    renderer.render(RenderRequest(avatar_id, speech(0.2), options), workspace, no_progress)
    manifest = renderer.store.manifest(avatar_id)
    own = np.empty(manifest.frame_bytes, np.uint8)
    with renderer.cache.open(manifest, lambda file, most: []) as frames:
        seen = list(read_frames(workspace.result, layout_of(manifest), 0, 5))
        assert [index for index, _ in seen] == list(range(5))
        frames.read_into(4, own)
    assert np.abs(seen[4][1].astype(int) - own).mean() < 4


def test_a_killed_render_of_a_high_dynamic_range_goes_on_to_the_same_file(
    renderer: Renderer, workspace: Workspace, speech: Speech, tmp_path: Path
) -> None:
    request = RenderRequest("hlg", speech(1.4), RenderOptions(hdr="keep", quality="draft", height=120))

    def stop(done: int, total: int) -> None:
        if done > 30:
            raise JobCanceled("enough")

    with pytest.raises(JobCanceled):
        renderer.render(request, workspace, stop)
    assert workspace.fragment(0).exists()
    replace(renderer, encoder_threads=3).render(request, workspace, no_progress, keep_fragments=True)
    straight = Workspace(tmp_path / "straight")
    renderer.render(request, straight, no_progress)
    assert workspace.result.read_bytes() == straight.result.read_bytes()
    streamed = tmp_path / "streamed.mp4"
    parts = [workspace.init, workspace.fragment(0), workspace.fragment(1)]
    streamed.write_bytes(b"".join(part.read_bytes() for part in parts))
    ours, theirs = decode_deep(workspace.result), decode_deep(streamed)
    assert len(ours) == len(theirs) == 35
    assert ours[0][0].shape == (120, 160)
    assert all((a[0] == b[0]).all() for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(("height", "width"), [(16, 22), (24, 32), (36, 48), (48, 64)])
def test_a_high_dynamic_range_stays_in_tiny_results(
    renderer: Renderer, workspace: Workspace, speech: Speech, height: int, width: int
) -> None:
    options = RenderOptions(hdr="keep", height=height)
    renderer.render(RenderRequest("pq", speech(0.48), options), workspace, no_progress)
    shown = decode_deep(workspace.result)
    assert [picture[0].shape for picture in shown] == 12 * [(height, width)]


def test_results_too_small_for_a_high_dynamic_range_are_refused(
    renderer: Renderer, workspace: Workspace, speech: Speech
) -> None:
    options = RenderOptions(hdr="keep", height=16)
    with pytest.raises(InvalidRequest, match=r"^hdr: the result has 10x16 pixels"):
        renderer.render(RenderRequest("tall", speech(0.2), options), workspace, no_progress)


def test_footage_without_a_high_dynamic_range_has_none_to_keep(
    renderer: Renderer, workspace: Workspace, speech: Speech
) -> None:
    report = renderer.render(
        RenderRequest("plain", speech(0.2), RenderOptions(hdr="keep")), workspace, no_progress
    )
    assert [told["code"] for told in report.warnings] == [NoticeCode.WITHOUT_EFFECT]
    with av.open(str(workspace.result)) as container:
        assert container.streams.video[0].codec_context.name == "h264"


def test_only_an_mp4_keeps_a_high_dynamic_range() -> None:
    with pytest.raises(InvalidRequest, match="Only MP4"):
        RenderOptions(hdr="keep", format="webm")
