"""WebM and MOV: made in pieces, joined, and decoded again; with the transparency of the footage."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from app.avatars.builder import AvatarBuilder, AvatarRequest
from app.errors import JobCanceled
from app.media.formats import Format
from app.media.limits import AudioLimits
from app.mouths.model import LipModel
from app.notices import NoticeCode
from app.rendering.options import RenderOptions
from app.rendering.renderer import Renderer, RenderRequest
from app.rendering.workspace import Workspace
from tests.support import clips
from tests.support.avatars import builder, no_progress
from tests.support.cutouts import HIDDEN, cutout, decode_transparent, opacity_of
from tests.support.models import tiny_model

Speech = Callable[[float], Path]
JOINED: tuple[Format, ...] = ("webm", "mov")


@pytest.fixture(scope="module")
def cut_out(tmp_path_factory: pytest.TempPathFactory) -> AvatarBuilder:
    """An avatar ``anna`` that was cut out of her background, for both kinds of model."""
    root = tmp_path_factory.mktemp("cut-out")
    made = builder(root / "avatars")
    made.build(AvatarRequest("anna", cutout(root / "anna.webm"), "anna.webm"), no_progress)
    return made


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> LipModel:
    """A model whose mouths are as quick to make as can be."""
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def clear(cut_out: AvatarBuilder, model: LipModel) -> Renderer:
    return Renderer(model, cut_out.store, cut_out.cache, AudioLimits(600))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "job")


def rendered(
    renderer: Renderer, workspace: Workspace, sound: Path, options: RenderOptions
) -> tuple[Path, list[str]]:
    report = renderer.render(RenderRequest("anna", sound, options), workspace, no_progress)
    assert workspace.result.suffix == f".{options.format}"
    return workspace.result, [told["code"] for told in report.warnings]


@pytest.mark.parametrize("form", JOINED)
def test_another_format_has_the_same_frames_and_all_of_the_sound(
    renderer: Renderer, workspace: Workspace, speech: Speech, form: Format
) -> None:
    fps = 30000 / 1001
    options = RenderOptions(format=form, fps=fps, quality="high")  # type: ignore[arg-type]
    request = RenderRequest("anna", speech(1.3), options)
    with renderer.open(request, workspace, lambda: None) as render:
        made = [frame.copy() for frame in render.maker.make(range(render.frame_count))]
        layout = render.maker.framing.layout
    result, _ = rendered(renderer, workspace, request.audio, options)
    with av.open(str(result)) as container:
        assert {stream.codec_context.name for stream in container.streams} == (
            {"vp9", "opus"} if form == "webm" else {"prores", "pcm_s16le"}
        )
        shown = list(container.decode(video=0))
    with av.open(str(result)) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
        assert samples == round(1.3 * container.streams.audio[0].rate)
    assert len(shown) == round(1.3 * fps)
    for index, picture in enumerate(shown):
        assert picture.time == pytest.approx(index / fps, abs=0.001)
        luma = np.frombuffer(memoryview(picture.planes[0]), "u1" if form == "webm" else "<u2")
        luma = luma.reshape(picture.height, -1)[:, : picture.width] / (1 if form == "webm" else 4)
        assert np.abs(luma - layout.planes(made[index])[0]).mean() < 2


class Stop:
    """Cancels a render once some frames are done."""

    def __call__(self, done: int, total: int) -> None:
        if done >= 40:
            raise JobCanceled("enough")


@pytest.mark.parametrize("form", JOINED)
@pytest.mark.parametrize("transparent", [False, True])
def test_pieces_are_the_same_whoever_makes_them_and_a_killed_render_goes_on(
    renderer: Renderer,
    clear: Renderer,
    workspace: Workspace,
    speech: Speech,
    tmp_path: Path,
    form: Format,
    transparent: bool,
) -> None:
    made = clear if transparent else renderer
    request = RenderRequest("anna", speech(3.2), RenderOptions(format=form, quality="draft"))
    with pytest.raises(JobCanceled):
        made.render(request, workspace, Stop())
    born = workspace.fragment(0).stat().st_mtime_ns
    assert not workspace.fragment(2).exists()
    with replace(made, encoder_threads=3).open(request, workspace, lambda: None) as other:
        assert other.is_begun
        other.encode([other.segments[2]], no_progress)
    made.render(request, workspace, no_progress, keep_fragments=True)
    assert workspace.fragment(0).stat().st_mtime_ns == born
    straight = Workspace(tmp_path / "straight")
    made.render(request, straight, no_progress)
    assert workspace.result.read_bytes() == straight.result.read_bytes()


@pytest.mark.parametrize("form", JOINED)
def test_what_is_transparent_in_the_footage_is_so_in_the_result(
    clear: Renderer, workspace: Workspace, speech: Speech, form: Format
) -> None:
    options = RenderOptions(format=form, quality="high", keep="0-0.2")
    result, codes = rendered(clear, workspace, speech(0.48), options)
    pictures = decode_transparent(result)
    assert len(pictures) == 12
    assert codes == []
    for index, (_, opacity) in enumerate(pictures):
        assert (opacity == opacity_of(index, 320, 240)).all()
    assert clear.store.manifest("anna").transparent
    colors, opacity = pictures[3]
    own = flat_luma(clear, 3)
    assert np.abs(colors[0] - own)[opacity == 255].mean() < 2
    assert np.abs(colors[0] - own)[opacity == 0].mean() < 3  # the background, and not what is hidden
    outside = cv2.resize(opacity, colors[1].shape[::-1], interpolation=cv2.INTER_AREA) == 0
    assert np.abs(colors[1] - 128)[outside].mean() < 3
    assert HIDDEN == (255, 0, 255)  # whose U is 202


def test_mouths_move_in_transparent_results(clear: Renderer, workspace: Workspace, speech: Speech) -> None:
    request = RenderRequest("anna", speech(0.48), RenderOptions(format="webm"))
    with clear.open(request, workspace, lambda: None) as render:
        avatar, layout = render.maker.avatar, render.maker.avatar.layout
        assert avatar.transparent is not None
        own = np.empty(layout.transparent_bytes, np.uint8)
        for index, frame in enumerate(render.maker.make(range(12))):
            avatar.transparent.read_into(index, own)
            top, bottom, left, right = avatar.boxes[index].tolist()
            opaque = layout.opacity(own) == 255
            changed = (
                layout.planes(frame[: layout.frame_bytes])[0] != layout.planes(own[: layout.frame_bytes])[0]
            )
            rows, columns = np.nonzero(changed & opaque)
            assert len(rows) > 100
            assert rows.min() >= (top + bottom) // 2 - 2
            assert rows.max() < bottom
            assert columns.min() >= left - 1
            assert columns.max() < right


def test_a_smaller_transparent_result_has_no_fringe(
    clear: Renderer, workspace: Workspace, speech: Speech
) -> None:
    """Laid onto the background it is what the frame is that was laid onto it before it was scaled."""
    options = RenderOptions(format="webm", height=120, quality="high", keep="0-0.2")
    result, _ = rendered(clear, workspace, speech(0.2), options)
    for index, (colors, opacity) in enumerate(decode_transparent(result)):
        expected = cv2.resize(opacity_of(index, 320, 240), (160, 120), interpolation=cv2.INTER_AREA)
        assert (opacity == expected).all()
        share = opacity / 255
        grey = colors[0][0, 0]
        laid = colors[0] * share + grey * (1 - share)
        flat = cv2.resize(flat_luma(clear, index), (160, 120), interpolation=cv2.INTER_AREA)
        edge = (opacity > 0) & (opacity < 255)
        assert edge.sum() > 200
        assert np.abs(laid - flat)[edge].mean() < 2


def flat_luma(renderer: Renderer, index: int) -> npt.NDArray[np.uint8]:
    """Return the luma of a frame that was laid onto the background."""
    manifest = renderer.store.manifest("anna")
    flat = np.empty(manifest.frame_bytes, np.uint8)
    with renderer.cache.open(manifest, lambda file, most: []) as frames:
        frames.read_into(index, flat)
    return flat[: 320 * 240].reshape(240, 320)


def test_an_mp4_of_a_cut_out_head_shows_the_background_and_says_so(
    clear: Renderer, workspace: Workspace, speech: Speech
) -> None:
    _, codes = rendered(clear, workspace, speech(0.2), RenderOptions())
    assert codes == [NoticeCode.ALPHA_FLATTENED]


def test_a_transparent_result_can_become_an_avatar_again(
    clear: Renderer, workspace: Workspace, speech: Speech, tmp_path: Path
) -> None:
    result, _ = rendered(clear, workspace, speech(0.3), RenderOptions(format="webm"))
    manifest = builder(tmp_path / "avatars").build(AvatarRequest("again", result, "a.webm"), no_progress)
    assert manifest.transparent
    assert manifest.frame_count == round(0.3 * 25)


@pytest.mark.parametrize("channels", [1, 2, 4, 6])
def test_sound_of_many_channels_is_kept(
    renderer: Renderer, workspace: Workspace, tmp_path: Path, channels: int
) -> None:
    sound = clips.speech(tmp_path / "a.wav", 0.3, 44100, channels)
    result, _ = rendered(renderer, workspace, sound, RenderOptions(format="webm", quality="draft"))
    with av.open(str(result)) as container:
        assert container.streams.audio[0].channels == channels
        assert sum(frame.samples for frame in container.decode(audio=0)) == round(0.3 * 48000)
