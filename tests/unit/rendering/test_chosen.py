from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from app.media.timing import Segment
from app.rendering.chosen import ChosenMouths

UNCHANGED = slice(40, 70)
COUNT = 100


@pytest.mark.parametrize("starts", [[0], [0, 50], [0, 40, 70]])
def test_where_the_clip_is_kept_nobody_is_said_not_to_speak_whatever_the_segments(starts: list[int]) -> None:
    weights = np.ones(COUNT, np.float32)
    weights[UNCHANGED] = 0
    segments = [
        Segment(index, first, stop - first, last=stop == COUNT)
        for index, (first, stop) in enumerate(zip(starts, [*starts[1:], COUNT], strict=True))
    ]

    def row(index: int) -> tuple[object, int]:
        segment = next(each for each in reversed(segments) if each.first_frame <= index)
        return SimpleNamespace(speech=np.zeros(segment.frame_count, np.float32)), 0

    mouths = ChosenMouths(
        avatar=cast(Any, None),
        weights=cast(Any, SimpleNamespace(of=lambda indices: weights[list(indices)])),
        scores=cast(Any, SimpleNamespace(row=row)),
    )
    speech = np.concatenate([mouths.speech(segment) for segment in segments])
    assert speech.dtype == np.float32
    assert (speech == (weights == 0)).all()
