from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest

from app.media.sound import SPEECH_RATE, Sound
from app.media.timing import Segment
from app.notices import NoticeCode
from app.rendering.opened import OpenRender
from app.rendering.warned import change_notices

SECONDS, MUSIC_SECONDS = 4, 2


def render_of(
    speech: npt.NDArray[np.float32],
    folder: Path,
    offset_ms: float = 0.0,
    asked: npt.NDArray[np.float32] | None = None,
    changed: npt.NDArray[np.float32] | None = None,
) -> OpenRender:
    """Return a render of noise, with ``speech`` (n,) at 25 frames a second; weights (n,) are 1 by default."""
    count = SECONDS * SPEECH_RATE
    np.random.default_rng(0).normal(0, 0.1, count).astype(np.float32).tofile(folder / "speech")
    sound = Sound("", str(folder / "speech"), SPEECH_RATE, 1, "mono", count, count, SECONDS)
    every = np.ones(len(speech), np.float32)
    asked, changed = (every if weights is None else weights for weights in (asked, changed))
    return OpenRender(
        workspace=cast(Any, None),
        plan=cast(Any, SimpleNamespace(options={"mouth_offset_ms": offset_ms}, frame_count=len(speech))),
        segments=[Segment(0, 0, len(speech), last=True)],
        encoding=cast(Any, None),
        maker=cast(
            Any,
            SimpleNamespace(
                mouths=SimpleNamespace(
                    speech=lambda segment: speech,
                    weights=SimpleNamespace(of=lambda indices: changed[list(indices)]),
                ),
                timeline=SimpleNamespace(
                    fps=Fraction(25), mouth_weights=lambda indices: asked[list(indices)]
                ),
            ),
        ),
        lanes=1,
        sound=sound,
        notices=[],
    )


@pytest.mark.parametrize("offset_ms", [0.0, 1000.0, 300.0, -200.0])
def test_music_is_told_for_as_long_as_it_lasts_whenever_the_mouth_moves(
    tmp_path: Path, offset_ms: float
) -> None:
    times = np.arange(SECONDS * 25) / 25 - offset_ms / 1000
    speech = (times >= MUSIC_SECONDS).astype(np.float32)
    told = render_of(speech, tmp_path, offset_ms).last_notices()
    assert [each["code"] for each in told] == [NoticeCode.NO_SPEECH]
    heard = MUSIC_SECONDS + min(offset_ms, 0) / 1000  # what comes before the first frame is not
    assert told[0]["seconds"] == pytest.approx(heard, abs=0.05)


def test_a_render_in_which_next_to_no_mouth_is_changed_says_so() -> None:
    changed = np.zeros(50, np.bool_)
    changed[:4] = True
    (told,) = change_notices(changed, 25.0)
    assert (told["code"], told["seconds"]) == (NoticeCode.MOUTH_UNCHANGED, 46 / 25)
    changed[4] = True
    assert change_notices(changed, 25.0) == change_notices(changed[:0], 25.0) == []


@pytest.mark.parametrize(
    ("asked", "changed", "seconds"),
    [
        ((0, 100), (0, 0), 4.0),
        ((0, 100), (0, 50), None),
        ((20, 100), (96, 100), 3.04),  # of 3.2 s that were asked for
        ((20, 60), (20, 60), None),  # the rest is kept as it was filmed
        ((0, 0), (0, 0), None),
    ],
)
def test_only_mouths_that_were_to_be_changed_are_missed(
    tmp_path: Path, asked: tuple[int, int], changed: tuple[int, int], seconds: float | None
) -> None:
    speech, places = np.ones(SECONDS * 25, np.float32), np.arange(SECONDS * 25)
    within = [((places >= first) & (places < after)).astype(np.float32) for first, after in (asked, changed)]
    told = render_of(speech, tmp_path, 0.0, *within).last_notices()
    assert [each["code"] for each in told] == ([] if seconds is None else [NoticeCode.MOUTH_UNCHANGED])
    assert [each["seconds"] for each in told] == ([] if seconds is None else [pytest.approx(seconds)])
