"""How long a result is, which frames it shows, and whose mouth they have: decoded."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.errors import InvalidRequest
from app.media.frames import I420Frame
from app.notices import NoticeCode
from app.rendering.options import RenderOptions
from app.rendering.renderer import Renderer, RenderRequest
from app.rendering.timeline import Loop
from app.rendering.workspace import Workspace
from app.wav2lip.infer import Wav2LipInfer
from tests.support import clips
from tests.support.avatars import no_progress
from tests.support.renders import decode_samples
from tests.support.videos import Decoded, decode

Speech = Callable[[float], Path]
CLIP = 0.48


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "job")


def made(renderer: Renderer, workspace: Workspace, sound: Path, **options: Any) -> tuple[Decoded, list[str]]:
    """Render ``anna``, twelve frames; return the result and the codes of the warnings."""
    request = RenderRequest("anna", sound, RenderOptions(**options))
    report = renderer.render(request, workspace, no_progress)
    return decode(workspace.result), [told["code"] for told in report.warnings]


@pytest.mark.parametrize(
    ("options", "sound", "seconds", "codes"),
    [
        ({"length": "video"}, 0.2, CLIP, []),
        ({"length": "video", "fps": Fraction(60)}, 0.9, CLIP, [NoticeCode.SOUND_CUT]),
        ({"length": "shortest"}, 0.9, CLIP, [NoticeCode.SOUND_CUT]),
        ({"length": "shortest", "loop": "stretch"}, 0.2, 0.2, []),
        ({"length": "longest"}, 0.2, CLIP, []),
        ({"length": "longest", "loop": "hold"}, 0.9, 0.9, [NoticeCode.SOUND_LONGER_THAN_CLIP]),
        ({"loop": "stretch", "fps": Fraction("29.97")}, 0.9, 0.9, [NoticeCode.SOUND_LONGER_THAN_CLIP]),
        ({"loop": "hold", "fps": Fraction("23.976")}, 1.3, 1.3, [NoticeCode.SOUND_LONGER_THAN_CLIP]),
        ({"length": "video", "start": 0.08, "end": 0.4}, 0.2, 0.32, []),
        ({"start_frame": 6}, 0.4, 0.4, [NoticeCode.SOUND_LONGER_THAN_CLIP]),
        ({"start_frame": 6}, 0.24, 0.24, []),
    ],
)
def test_sound_and_pictures_are_exactly_as_long_as_was_asked_for(
    renderer: Renderer,
    workspace: Workspace,
    speech: Speech,
    options: dict[str, Any],
    sound: float,
    seconds: float,
    codes: list[str],
) -> None:
    result, told = made(renderer, workspace, speech(sound), **options)
    fps = options.get("fps", Fraction(25))
    assert len(result.frames) == round(seconds * fps)
    assert float(result.sound_end) == pytest.approx(seconds, abs=2 / 16000)
    assert told == codes


@pytest.mark.parametrize(
    ("loop", "goes_on"),
    [
        ("pingpong", "which continues"),
        ("hold", "whose last frame stays"),
        ("stretch", "which is slowed down"),
    ],
)
def test_it_is_told_what_a_clip_does_that_ends_before_the_sound(
    renderer: Renderer, workspace: Workspace, speech: Speech, loop: Loop, goes_on: str
) -> None:
    request = RenderRequest("anna", speech(0.9), RenderOptions(loop=loop, quality="draft"))
    with renderer.open(request, workspace, lambda: None) as opened:
        (told,) = opened.notices
    assert goes_on in told["detail"]


def test_after_the_sound_there_is_silence(renderer: Renderer, workspace: Workspace, speech: Speech) -> None:
    made(renderer, workspace, speech(0.2), length="video")
    samples = decode_samples(workspace.result)[0]
    assert np.abs(samples[int(0.3 * 16000) : int(CLIP * 16000)]).max() < 0.01
    assert np.abs(samples[: int(0.2 * 16000)]).max() > 0.1


def frames_of(
    renderer: Renderer, workspace: Workspace, sound: Path, **options: Any
) -> tuple[list[I420Frame], list[I420Frame]]:
    """Return the frames of a result before they are encoded, and the avatar's own under them."""
    request = RenderRequest("anna", sound, RenderOptions(**options))
    with renderer.open(request, workspace, lambda: None) as render:
        avatar, timeline = render.maker.avatar, render.maker.timeline
        frames = [frame.copy() for frame in render.maker.make(range(render.frame_count))]
        own = [np.empty(avatar.layout.frame_bytes, np.uint8) for _ in frames]
        for index, frame in enumerate(own):
            avatar.frames.read_into(timeline.avatar_frame(index), frame)
    return frames, own


def test_kept_frames_are_untouched(
    renderer: Renderer, workspace: Workspace, speech: Speech, tmp_path: Path
) -> None:
    keep = "0.08-0.16,0.44-0.48"
    frames, own = frames_of(renderer, workspace, speech(CLIP), keep=keep)
    same = [bool((a == b).all()) for a, b in zip(frames, own, strict=True)]
    assert all([*same[:4], same[11]])
    assert not any(same[5:9])  # beside those that are kept, a mouth may be as it was filmed
    plain, _ = frames_of(renderer, Workspace(tmp_path / "plain"), speech(CLIP))
    assert (frames[7] == plain[7]).all()  # far from what is kept nothing changes
    assert not (frames[4] == plain[4]).all()

    result, _ = made(renderer, Workspace(tmp_path / "encoded"), speech(CLIP), keep=keep, quality="high")
    for index in (2, 3, 11):
        assert np.abs(result.frames[index].astype(int) - own[index]).mean() < 2.5


def test_for_segments_whose_mouths_are_kept_nobody_chooses(
    renderer: Renderer, workspace: Workspace, speech: Speech
) -> None:
    request = RenderRequest("anna", speech(3.4), RenderOptions(keep="0-1.2,3-3.4", quality="draft"))
    with renderer.open(request, workspace, lambda: None) as render:
        render.begin()
        render.encode(render.segments, no_progress)
        kinds = [render.maker.mouths.kinds(segment) for segment in render.segments]
        assert [len(lent) for lent, _ in kinds] == [25, 50, 10]
        render.last_notices()
        scores = [path.name for path in workspace.scores.glob("*")]
        assert scores == ([] if isinstance(renderer.infer, Wav2LipInfer) else ["00001.score"])


def test_after_the_last_word_the_own_mouth_may_stay(
    renderer: Renderer, workspace: Workspace, tmp_path: Path
) -> None:
    words = np.zeros(round(CLIP * 16000), np.float32)
    words[:1600] = clips.speech_like(0.2)[1600:]
    sound = clips.write_wav(tmp_path / "words.wav", words)
    frames, own = frames_of(renderer, workspace, sound, rest="own")
    same = [bool((a == b).all()) for a, b in zip(frames, own, strict=True)]
    assert same.index(True) == 7  # a tenth of a second of voice, and a fifth to close
    assert all(same[7:])


@pytest.mark.parametrize("options", [{"keep": "0.2-0.7"}, {"start": 0.5}, {"end": 0.6}])
def test_times_beyond_the_clip_or_the_result_are_refused_and_nothing_is_left(
    renderer: Renderer, workspace: Workspace, speech: Speech, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest, match="lies beyond"):
        made(renderer, workspace, speech(CLIP), **options)
    assert not workspace.result.exists()


def test_a_padded_sound_is_shared_as_it_was_decoded(
    renderer: Renderer, workspace: Workspace, speech: Speech
) -> None:
    request = RenderRequest("anna", speech(0.9), RenderOptions(length="video"))
    for _ in range(2):
        with renderer.open(request, workspace, lambda: None) as render:
            render.begin()
            render.share_sound()
            assert [told["code"] for told in render.notices] == [NoticeCode.SOUND_CUT]
            assert render.sound.whole == pytest.approx(0.9)
            assert render.duration == CLIP


def test_a_sound_that_was_cut_too_short_is_decoded_again(
    renderer: Renderer, workspace: Workspace, speech: Speech
) -> None:
    """A header told the clip to be shorter than it is, or to have more than its one frame."""
    request = RenderRequest("anna", speech(3.0), RenderOptions(length="video"))
    known = (workspace, lambda: None)
    assert renderer.listen(request, 10, Fraction(25), *known).duration < 1
    again = renderer.listen(request, 25, Fraction(25), *known)
    assert again.cut
    assert 1 <= again.duration < 1.5
    assert renderer.listen(request, 25, Fraction(25), *known) == again
    assert renderer.listen(request, 1, Fraction(25), *known).duration == pytest.approx(3.0, abs=0.01)
