"""Faces that are cut out of the frames of a made-up person."""

from typing import cast

import numpy as np
import pytest

from app.avatars.crops import FaceCutter
from app.errors import JobCanceled
from app.media.frame_file import FrameReader
from app.media.frames import FrameLayout
from tests.support.frames import Listed
from tests.support.mouths import box_of, person_of, talk

LAYOUT = FrameLayout(320, 240)
COUNT = 30


def test_a_job_that_waits_for_references_is_alive_and_can_be_canceled_before_the_first_is_cut() -> None:
    """Who lends to whom is found for all frames before the first is cut."""
    calls = 0

    def cancel_at_the_last() -> None:
        nonlocal calls
        calls += 1
        if calls == COUNT:
            raise JobCanceled("Canceled.")

    person = person_of(talk(COUNT))
    landmarks = person.study.meshes[..., :2]
    frames = Listed([])
    cutter = FaceCutter(
        LAYOUT,
        cast(FrameReader, frames),
        np.stack([box_of(points) for points in landmarks]),
        landmarks,
        person,
        cancel_at_the_last,
    )
    with pytest.raises(JobCanceled):
        next(cutter.references(96))
    assert frames.bytes_read == 0
