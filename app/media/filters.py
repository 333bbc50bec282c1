"""FFmpeg filters between decoder and frames: deinterlacing, and tone mapping."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction

import av
from av.error import BlockingIOError as NothingYet
from av.filter import Graph

from app.media.findings import Findings
from app.media.tone_mapping import is_hdr, table_file
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
    with ExitStack() as stack:
        for picture in pictures:
            if not is_hdr(picture):
                yield picture
                continue
            if chain is None or not chain.takes(picture):
                table = stack.enter_context(table_file(picture.color_trc))
                steps = ("scale", "in_color_matrix=bt2020"), ("format", "gbrp10le"), ("lut3d", str(table))
                chain = _Chain.of(picture, *steps)
            findings.tone_mapped += 1
            yield from chain.push(picture)


@dataclass(frozen=True)
class _Chain:
    """Filters one after the other, for pictures of one form."""

    graph: Graph
    form: tuple[str, int, int]

    @classmethod
    def of(cls, picture: av.VideoFrame, *steps: tuple[str, str]) -> "_Chain":
        graph = Graph()
        last = graph.add_buffer(
            width=picture.width,
            height=picture.height,
            format=picture.format,
            time_base=picture.time_base or Fraction(1, av.time_base),
        )
        for name, arguments in (*steps, ("buffersink", "")):
            step = graph.add(name, arguments or None)
            last.link_to(step)
            last = step
        graph.configure()
        return cls(graph, _form(picture))

    def takes(self, picture: av.VideoFrame) -> bool:
        return _form(picture) == self.form

    def push(self, picture: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        """Yield what comes out after ``picture``; after None, what was held back."""
        self.graph.push(picture)
        while True:
            try:
                pulled = self.graph.pull()
            except (NothingYet, av.error.EOFError):
                return
            assert isinstance(pulled, av.VideoFrame)
            yield pulled


def _form(picture: av.VideoFrame) -> tuple[str, int, int]:
    return picture.format.name, picture.width, picture.height
