"""Faces that are cut out of the frames of a made-up person."""

import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from app.avatars import crops
from app.avatars.crops import CROPS, MASKS, CropForm, FaceCutter
from app.errors import JobCanceled
from app.faces.face_mesh import POINTS
from app.media.frame_file import FrameReader
from app.media.frames import FrameLayout, I420Frame
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


def test_of_the_frames_whose_mouths_are_shown_few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    class Noted(Listed):
        def read_into(self, index: int, frame: I420Frame, parts: Sequence[slice] = (slice(None),)) -> None:
            frame[:] = index
            noted.append(weakref.ref(frame))

    monkeypatch.setattr(crops, "rest_lenders", lambda person, alive: np.arange(COUNT, dtype=np.int32))
    noted: list[weakref.ref[I420Frame]] = []
    layout = FrameLayout(4096, 2304)
    person = person_of(talk(COUNT))
    landmarks = person.study.meshes[..., :2]
    boxes = np.stack([box_of(points) for points in landmarks])
    cutter = FaceCutter(layout, cast(FrameReader, Noted([])), boxes, landmarks, person, lambda: None)
    for _ in cutter.references(96):
        kept = {id(frame) for each in noted if (frame := each()) is not None}
        assert len(kept) < 6


def test_masks_that_take_long_are_told_to_come() -> None:
    told: list[int] = []
    person = person_of(talk(COUNT))
    landmarks = person.study.meshes[..., :2]
    boxes = np.stack([box_of(points) for points in landmarks])
    frames = cast(FrameReader, Listed([]))
    cutter = FaceCutter(LAYOUT, frames, boxes, landmarks, person, lambda: told.append(1))
    for count, _ in enumerate(cutter.masks(96), start=1):
        assert len(told) == count


def test_nobody_waits_until_what_can_be_cut_again_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: pytest.fail("waited"))
    boxes, landmarks = np.full((3, 4), -1, np.int32), np.full((3, POINTS, 2), np.nan, np.float32)
    person = person_of(talk(3))
    cutter = FaceCutter(LAYOUT, cast(FrameReader, Listed([])), boxes, landmarks, person, lambda: None)
    cutter.write(tmp_path, CropForm(96))
    assert {path.name for path in tmp_path.iterdir()} == {CROPS, MASKS}
