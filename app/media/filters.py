"""FFmpeg filters between decoder and frames: deinterlacing, and tone mapping."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av.error import BlockingIOError as NothingYet
from av.filter import Graph
from av.filter.context import FilterContext

from app.media.findings import Findings
from app.media.tone_mapping import TABLE_FORMAT, is_hdr, table
from app.media.treatment import Treatment


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
            steps = ("scale", "in_color_matrix=bt2020"), ("format", TABLE_FORMAT), ("haldclut", "clut=first")
            chain = _Chain.of(picture, *steps, table=table(picture.color_trc))
        findings.tone_mapped += 1
        # haldclut leaves out what comes late; whoever counts the time does so by the picture's own clock
        time = picture.pts, picture.duration, picture.time_base
        picture.pts = findings.tone_mapped
        for shown in chain.push(picture):
            shown.pts, shown.duration, shown.time_base = time
            yield shown


@dataclass(frozen=True)
class _Chain:
    """Filters one after the other, for pictures of one form."""

    graph: Graph
    source: FilterContext
    form: tuple[str, int, int]

    @classmethod
    def of(
        cls, picture: av.VideoFrame, *steps: tuple[str, str], table: av.VideoFrame | None = None
    ) -> "_Chain":
        """Return filters for pictures like this one; the last of them is given the ``table``."""
        graph = Graph()
        source = last = _source(graph, picture)
        for name, arguments in (*steps, ("buffersink", "")):
            step = graph.add(name, arguments or None)
            last.link_to(step)
            if table and (name, arguments) == steps[-1]:
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


def _form(picture: av.VideoFrame) -> tuple[str, int, int]:
    return picture.format.name, picture.width, picture.height


def _source(graph: Graph, picture: av.VideoFrame) -> FilterContext:
    return graph.add_buffer(
        width=picture.width,
        height=picture.height,
        format=picture.format,
        time_base=picture.time_base or Fraction(1, av.time_base),
    )
