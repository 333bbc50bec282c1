from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from app.media.sound import SPEECH_RATE, Sound
from app.media.timing import Segment
from app.notices import NoticeCode
from app.rendering.opened import OpenRender
from app.rendering.warned import change_notices

SECONDS, MUSIC_SECONDS = 4, 2


@pytest.mark.parametrize("offset_ms", [0.0, 1000.0, 300.0, -200.0])
def test_music_is_told_for_as_long_as_it_lasts_whenever_the_mouth_moves(
    tmp_path: Path, offset_ms: float
) -> None:
    count = SECONDS * SPEECH_RATE
    np.random.default_rng(0).normal(0, 0.1, count).astype(np.float32).tofile(tmp_path / "speech")
    sound = Sound("", str(tmp_path / "speech"), SPEECH_RATE, 1, "mono", count, count, SECONDS)
    times = np.arange(SECONDS * 25) / 25 - offset_ms / 1000
    speech = (times >= MUSIC_SECONDS).astype(np.float32)
    render = OpenRender(
        workspace=cast(Any, None),
        plan=cast(Any, SimpleNamespace(options={"mouth_offset_ms": offset_ms}, frame_count=len(speech))),
        segments=[Segment(0, 0, len(speech), last=True)],
        encoding=cast(Any, None),
        maker=cast(
            Any,
            SimpleNamespace(
                mouths=SimpleNamespace(
                    speech=lambda segment: speech,
                    weights=SimpleNamespace(of=lambda indices: np.ones(len(indices))),
                ),
                timeline=SimpleNamespace(
                    fps=Fraction(25), mouth_weights=lambda indices: np.ones(len(indices))
                ),
            ),
        ),
        lanes=1,
        sound=sound,
        notices=[],
    )
    told = render.last_notices()
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
