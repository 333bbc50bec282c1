"""The receipt of a render: what was made, and what a sample of its frames, decoded again, is like.

It is made when the render is finished: the avatar may be deleted soon after, and what the worker has open
then would have to be opened again. So little is looked at that it costs some tenths of a second of one core:
a twentieth of a render of 20 seconds at 720p, and next to nothing of a long one.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from math import isfinite, nan
from typing import Any, Final

import numpy as np

from app.faces.face_mesh import FaceMesh
from app.faces.types import has_face
from app.media.excerpts import read_frames, track_times
from app.media.files import replacing
from app.media.frames import BgrImage
from app.media.sheet import write_sheet
from app.media.timing import Segment
from app.progress import Alive
from app.rendering.comparing import Pair
from app.rendering.opened import OpenRender
from app.rendering.stages import noted_stages
from app.rendering.sync import Stretch, following

SHARE: Final = 10
"""Of one frame in so many stretches are decoded,"""
LEAST, MOST = 50, 200
"""but of so many at least, and at most."""
EVERY: Final = 2
LEAST_RATE: Final = 10
"""Of a stretch one frame in so many is looked at if that is so often a second at least, for a mouth does not
open and close more than five times; of a render of less than :data:`LEAST` frames all are."""
_IN_A_ROW: Final = 50
_COMPARED: Final = 12
"""Frames whose seam and sharpness are measured."""
_SHOWN, _COLUMNS, _FACE = 9, 3, 240
"""Frames on the sheet, those in a row, and the side of a face on it, pixels."""

Receipt = Mapping[str, Any]
"""Plain data, as :class:`app.api.models.RenderReceipt` describes it."""


@dataclass
class _Seen:
    """What was measured in the frames that were looked at."""

    stretches: list[Stretch] = field(default_factory=list)
    seams: list[tuple[float, float]] = field(default_factory=list)
    details: list[tuple[float, float]] = field(default_factory=list)
    faces: list[tuple[str, BgrImage]] = field(default_factory=list)
    """Of frames whose mouth was changed, with a text."""
    unchanged: list[tuple[str, BgrImage]] = field(default_factory=list)
    frames: int = 0


def write_receipt(render: OpenRender, model: Mapping[str, str], alive: Alive) -> None:
    """Write the report and the sheet of a render whose result is there, its scores and its sound too.

    ``alive`` is called for each frame that is looked at.
    """
    receipt, seen = receipt_of(render, model, alive)
    with replacing(render.workspace.report) as temporary:
        temporary.write_text(json.dumps(receipt, allow_nan=False), encoding="utf-8")
    if faces := seen.faces or seen.unchanged:
        chosen = np.linspace(0, len(faces) - 1, min(len(faces), _SHOWN)).round().astype(int)
        texts, pictures = zip(*(faces[index] for index in chosen.tolist()), strict=True)
        write_sheet(render.workspace.sheet, pictures, texts, _COLUMNS, 2 * _FACE)


def receipt_of(render: OpenRender, model: Mapping[str, str], alive: Alive) -> tuple[Receipt, _Seen]:
    """Return the report, and what it was made of."""
    times = track_times(render.result)
    seen = _look(render, alive)
    timeline = render.maker.timeline
    return {
        "length": {
            "sound": _short(render.sound.whole),
            "clip": _short(float(timeline.clip_frames / timeline.clip_fps)),
            "video": _short(times.video_length),
            "audio": _short(times.audio_length),
        },
        "offset": _short(times.audio_start - times.video_start),
        "frames": _kinds(render),
        "measured_frames": seen.frames,
        "seam": _medians(seen.seams),
        "sharpness": _medians(seen.details),
        "following": _followed(following(render.sound, seen.stretches, render.mouth_offset)),
        "stage_seconds": {name: _short(s) for name, s in noted_stages(render.workspace.stages).items()},
        "model": {"name": model["name"], "sha256": model["sha256"]},
    }, seen


def _followed(found: tuple[float, float | None] | None) -> dict[str, float | None] | None:
    if found is None or not isfinite(found[0]):
        return None
    correlation, lag = found
    return {"correlation": round(correlation, 3), "lag": None if lag is None else round(lag, 3)}


def _kinds(render: OpenRender) -> dict[str, int]:
    """Count the frames by where their mouth comes from."""
    maker = render.maker
    lent = painted = 0
    for segment in render.segments:
        indices = range(segment.first_frame, segment.first_frame + segment.frame_count)
        changed = maker.mouths.weights.of(indices) > 0
        lends, paints = maker.mouths.kinds(segment)
        lent += int((changed & lends).sum())
        painted += int((changed & paints).sum())
    passed = render.frame_count - lent - painted
    return {"total": render.frame_count, "lent": lent, "painted": painted, "passed": passed}


def _look(render: OpenRender, alive: Alive) -> _Seen:
    """Decode stretches of the result, and measure them; how far mouths open, by another thread."""
    seen, mesh = _Seen(), _mesh()
    stretches = _stretches(render)
    total = sum(count for _, count in stretches)
    every = EVERY if total >= LEAST and render.maker.timeline.fps >= EVERY * LEAST_RATE else 1
    step = max(1, total // every // _COMPARED)
    with ThreadPoolExecutor(1, "receipt") as pool:
        for first, count in stretches:
            times: list[float] = []
            openings: list[Future[float | None]] = []
            for index, pair, changed in _pairs(render, first, count, every):
                alive()
                seen.frames += 1
                text = f"{render.maker.timeline.time(index):.2f} s: footage, result"
                if not changed:
                    if seen.frames % step == 0:
                        seen.unchanged.append((f"{text}, unchanged", pair.picture(_FACE)))
                    continue
                if openings:
                    openings[-1].result()  # so that few frames are in memory
                times.append(render.maker.timeline.time(index))
                openings.append(pool.submit(pair.opening, mesh))
                if seen.frames % step == 0:
                    seen.faces.append((text, pair.picture(_FACE)))
                    _add(seen.seams, pair.seams)
                    _add(seen.details, pair.details)
            known = [
                (time, o) for time, of in zip(times, openings, strict=True) if (o := of.result()) is not None
            ]
            seen.stretches.append(Stretch(np.array([t for t, _ in known]), np.array([o for _, o in known])))
    return seen


@cache
def _mesh() -> FaceMesh:
    """Return the network, compiled once in a process, which does one call at a time."""
    return FaceMesh()


def _stretches(render: OpenRender) -> list[tuple[int, int]]:
    """Return where to look: the first frames of some segments, which are quickly found, and how many."""
    wanted = min(render.frame_count, max(LEAST, min(MOST, render.frame_count // SHARE)))
    chosen: list[Segment] = []
    for count in range(max(1, round(wanted / _IN_A_ROW)), len(render.segments) + 1):
        places = np.linspace(0, len(render.segments) - 1, count + 2)[1:-1].round().astype(int)
        chosen = [render.segments[place] for place in np.unique(places).tolist()]
        if sum(segment.frame_count for segment in chosen) >= wanted:
            break
    each = -(-wanted // len(chosen))
    return [(segment.first_frame, min(each, segment.frame_count)) for segment in chosen]


def _pairs(render: OpenRender, first: int, count: int, every: int) -> Iterator[tuple[int, Pair, bool]]:
    """Yield decoded frames beside the footage's, by number, and whether the mouth is not the footage's."""
    maker = render.maker
    shown = has_face(maker.avatar.boxes) & np.isfinite(maker.avatar.landmarks).all(axis=(1, 2))
    weights = maker.mouths.weights.of(range(first, first + count))
    for index, made in read_frames(render.result, maker.framing.layout, first, count, every):
        source = maker.timeline.avatar_frame(index)
        changed = shown[source] and weights[index - first] > 0
        yield index, Pair(made, maker.avatar, source, maker.framing, maker.mouths.leaning), bool(changed)


def _add(to: list[tuple[float, float]], measure: Callable[[], tuple[float, float] | None]) -> None:
    if (measured := measure()) is not None:
        to.append(measured)


def _medians(measured: Sequence[tuple[float, float]]) -> dict[str, float] | None:
    """Return the medians of a measure in the result and in the footage; None if there are none."""
    made, own = np.median(np.array(measured), axis=0).tolist() if measured else (nan, nan)
    if not isfinite(made + own):
        return None
    return {"result": round(made, 3), "footage": round(own, 3)}


def _short(seconds: float) -> float:
    return round(seconds, 4)
