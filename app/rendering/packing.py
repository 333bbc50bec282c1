"""The format of a result: how segments are encoded, and how they become one file."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from app.media.encoder import VideoFormat
from app.media.files import replacing
from app.media.finish import finish
from app.media.fragments import encode_segment, write_init
from app.media.frames import I420Frame
from app.media.pieces import JoinedFormat, encode_piece, join
from app.media.quality import EncoderSettings, Quality
from app.media.sound import Sound
from app.media.timing import Segment
from app.progress import Alive


class Packing(Protocol):
    """Makes the files of segments, each by itself, and joins them. All files appear whole."""

    @property
    def encoder(self) -> str:
        """FFmpeg's name of the encoder of the pictures."""

    def write_init(self, path: Path) -> None:
        """Write what comes before the first segment."""

    def encode(self, path: Path, segment: Segment, frames: Iterable[I420Frame]) -> None:
        """Encode the frames of a segment."""

    def join(self, init: Path, segments: Sequence[Path], path: Path, alive: Alive) -> None:
        """Make one file of all; ``alive`` is called meanwhile."""


@dataclass(frozen=True)
class StreamedMp4:
    """Media fragments, sound included, that can be streamed as they come."""

    video: VideoFormat
    settings: EncoderSettings
    sound: Sound

    @property
    def encoder(self) -> str:
        """The encoder of H.264."""
        return self.settings.encoder

    def write_init(self, path: Path) -> None:
        """Write the beginning of the stream."""
        write_init(path, self.video, self.settings, self.sound)

    def encode(self, path: Path, segment: Segment, frames: Iterable[I420Frame]) -> None:
        """Encode a fragment."""
        encode_segment(path, segment, frames, self.video, self.settings, self.sound)

    def join(self, init: Path, segments: Sequence[Path], path: Path, alive: Alive) -> None:
        """Put the packets of the fragments behind one index."""
        finish(init, segments, path, alive)


@dataclass(frozen=True)
class JoinedPieces:
    """Pictures in pieces; the sound comes when they are joined."""

    form: JoinedFormat
    video: VideoFormat
    quality: Quality
    threads: int
    sound: Sound

    @property
    def encoder(self) -> str:
        """The encoder of this format."""
        return "libvpx-vp9" if self.form == "webm" else "prores_ks"

    def write_init(self, path: Path) -> None:
        """Write an empty file: the pieces need nothing before them."""
        with replacing(path):
            pass

    def encode(self, path: Path, segment: Segment, frames: Iterable[I420Frame]) -> None:
        """Encode a piece."""
        count = segment.frame_count
        encode_piece(path, frames, count, self.video, self.form, self.quality, self.threads)

    def join(self, init: Path, segments: Sequence[Path], path: Path, alive: Alive) -> None:
        """Join the pieces and the sound."""
        join(segments, path, self.video, self.form, self.sound, alive)
