"""FFmpeg filters between decoder and frames: deinterlacing, and tone mapping."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Final

import av
import numpy as np
from av.error import BlockingIOError as NothingYet
from av.filter import Graph
from av.filter.context import FilterContext

from app.media.findings import Findings
from app.media.tone_mapping import TABLE_FORMAT, as_picture, every_color, is_hdr, table
from app.media.treatment import Treatment

_PACKED: Final = "rgb48le"
_LOOK_UP: Final = ("haldclut", "clut=first")
"""The filter that is given a table."""


def treated(
    pictures: Iterable[av.VideoFrame], treatment: Treatment, findings: Findings
) -> Iterator[av.VideoFrame]:
    """Yield ``pictures``, with what ``treatment`` asks for where they need it."""
    if treatment.deinterlace:
        pictures = _deinterlaced(pictures, findings)
    return _tone_mapped(pictures, findings) if treatment.tone_map else iter(pictures)


def _deinterlaced(pictures: Iterable[av.VideoFrame], findings: Findings) -> Iterator[av.VideoFrame]:
    """From the first interlaced picture on, all pass through bwdif, which leaves the others as they are."""
    chain: _Chain | None = None
    for picture in pictures:
        findings.interlaced += picture.interlaced_frame
        if chain is not None and not chain.takes(picture):
            yield from chain.push(None)
            chain = None
        if chain is None and picture.interlaced_frame:
            chain = _Chain.of(picture, ("bwdif", "mode=send_frame:deint=interlaced"))
        yield from [picture] if chain is None else chain.push(picture)
    if chain is not None:
        yield from chain.push(None)


def _tone_mapped(pictures: Iterable[av.VideoFrame], findings: Findings) -> Iterator[av.VideoFrame]:
    chain: _Chain | None = None
    for picture in pictures:
        if not is_hdr(picture):
            yield picture
            continue
        if chain is None or not chain.takes(picture):
            chain = _tone_mapper(picture)
        findings.tone_mapped += 1
        # haldclut leaves out what comes late; whoever counts the time does so by the picture's own clock
        time = picture.pts, picture.duration, picture.time_base
        picture.pts = findings.tone_mapped
        for shown in chain.push(picture):
            shown.pts, shown.duration, shown.time_base = time
            yield shown


def _tone_mapper(picture: av.VideoFrame) -> "_Chain":
    """Return the filters that map the tones of pictures like this one.

    Planes are made of packed colours, and those again of them: to planes of its own FFmpeg would interpolate
    chroma, which blurs it.
    """
    steps = ("scale", "in_color_matrix=bt2020"), ("format", _PACKED), ("format", TABLE_FORMAT)
    return _Chain.of(
        picture, *steps, _LOOK_UP, ("format", _PACKED), table=table(picture.color_trc, _planes_of_tables())
    )


@cache
def _planes_of_tables() -> tuple[int, int, int]:
    """Return which of red, green and blue, 0 to 2, ``haldclut`` looks for in each plane of its table.

    Planes are green, blue and red; up to FFmpeg 8 it takes the first of a table for the red one.
    """
    as_named = 1, 2, 0
    red = av.VideoFrame(2, 2, TABLE_FORMAT)
    for plane, value in zip(red.planes, (0, 0, 255), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    (seen,) = _Chain.of(red, _LOOK_UP, table=as_picture(every_color(), as_named)).push(red)
    is_red = np.frombuffer(memoryview(seen.planes[2]), "<u2")[0] > 0
    return as_named if is_red else (0, 1, 2)


@dataclass(frozen=True)
class _Chain:
    """Filters one after the other, for pictures of one form."""

    graph: Graph
    source: FilterContext
    form: tuple[str, int, int, int]

    @classmethod
    def of(
        cls, picture: av.VideoFrame, *steps: tuple[str, str], table: av.VideoFrame | None = None
    ) -> "_Chain":
        """Return filters for pictures like this one; those that look up colours do so in the ``table``."""
        graph = Graph()
        source = last = _source(graph, picture)
        for name, arguments in (*steps, ("buffersink", "")):
            step = graph.add(name, arguments or None)
            last.link_to(step)
            if table and (name, arguments) == _LOOK_UP:
                beside = _source(graph, table)
                beside.link_to(step, 0, 1)
            last = step
        graph.configure()
        if table:
            beside.push(table)
            beside.push(None)
        return cls(graph, source, _form(picture))

    def takes(self, picture: av.VideoFrame) -> bool:
        return _form(picture) == self.form

    def push(self, picture: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        """Yield what comes out after ``picture``; after None, what was held back."""
        self.source.push(picture)
        while True:
            try:
                pulled = self.graph.pull()
            except (NothingYet, av.error.EOFError):
                return
            assert isinstance(pulled, av.VideoFrame)
            yield pulled


def _form(picture: av.VideoFrame) -> tuple[str, int, int, int]:
    return picture.format.name, picture.width, picture.height, picture.color_trc


def _source(graph: Graph, picture: av.VideoFrame) -> FilterContext:
    return graph.add_buffer(
        width=picture.width,
        height=picture.height,
        format=picture.format,
        time_base=picture.time_base or Fraction(1, av.time_base),
    )
