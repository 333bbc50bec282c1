"""The finished MP4: the fragments' packets, unchanged, with one complete index in front (faststart)."""

import io
from collections.abc import Iterable
from pathlib import Path

import av

from app.media.encoder import HEVC_TAG
from app.media.files import replacing
from app.progress import Alive, nothing


def finish(init: Path, fragments: Iterable[Path], path: Path, alive: Alive = nothing) -> None:
    """Join ``init`` and ``fragments``, in order, into the MP4 ``path``, whole or not at all.

    No packet is encoded again, so the file shows the very pictures and samples of the stream.
    ``alive`` is called with each packet, but not while the index is put in front.
    """
    with (
        replacing(path) as temporary,
        _Joined([init, *fragments]) as joined,
        av.open(joined, "r", format="mp4") as source,
    ):
        rate = source.streams.audio[0].rate
        options = {
            "movflags": "faststart",
            "movie_timescale": str(rate),  # lets the edit list end the sound at the exact sample
            "max_interleave_delta": "0",
        }
        with av.open(str(temporary), "w", format="mp4", options=options) as target:
            streams = [target.add_stream_from_template(stream, opaque=True) for stream in source.streams]
            if source.streams.video[0].codec_context.codec_tag == HEVC_TAG:
                target.streams.video[0].codec_context.codec_tag = HEVC_TAG
            for packet in source.demux():
                alive()
                if packet.dts is not None:
                    packet.stream = streams[packet.stream_index]
                    target.mux(packet)


class _Joined(io.RawIOBase):
    """Several files read as one, from the first byte to the last."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = iter(paths)
        self._file: io.BufferedReader | None = None

    def readable(self) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Close the file that is read."""
        if self._file is not None:
            self._file.close()
        super().close()

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, at most ``size``; none at the end of the last file."""
        while True:
            if self._file is None:
                path = next(self._paths, None)
                if path is None:
                    return b""
                self._file = path.open("rb")
            if data := self._file.read(size):
                return data
            self._file.close()
            self._file = None
