"""Who decodes what strangers sent: this very process, or :mod:`app.decoding`, which is locked in."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from app.media.findings import Findings
from app.media.frame_file import write_frames
from app.media.frames import I420Frame
from app.media.limits import AudioLimits, VideoLimits
from app.media.probe import VideoInfo, probe_video
from app.media.sound import Sound, decode_sound
from app.media.treatment import Treatment
from app.media.video import decode_frames
from app.progress import Alive


class Decoder(Protocol):
    """Decodes files; whatever it is called for, ``alive`` is called meanwhile and may raise to stop it."""

    def probe(self, video: Path, limits: VideoLimits, treatment: Treatment, alive: Alive) -> VideoInfo:
        """See :func:`app.media.probe.probe_video`."""

    def frames(
        self,
        video: Path,
        info: VideoInfo,
        limits: VideoLimits,
        file: Path,
        most_bytes: int,
        findings: Findings,
        alive: Alive,
        backdrop: Path | None = None,
    ) -> Iterator[I420Frame]:
        """Write the frames of a video to ``file``, and give each; the next one may overwrite it.

        See :func:`app.media.video.decode_frames` and :func:`app.media.frame_file.write_frames`; ``findings``
        are complete at the end.
        """

    def sound(self, audio: Path, limits: AudioLimits, track: Path, speech: Path, alive: Alive) -> Sound:
        """See :func:`app.media.sound.decode_sound`."""


class DecoderHere:
    """Decodes in this process: for whoever runs a command on files of their own."""

    def probe(self, video: Path, limits: VideoLimits, treatment: Treatment, alive: Alive) -> VideoInfo:
        """See :class:`Decoder`."""
        return probe_video(video, limits, treatment, alive)

    def frames(
        self,
        video: Path,
        info: VideoInfo,
        limits: VideoLimits,
        file: Path,
        most_bytes: int,
        findings: Findings,
        alive: Alive,
        backdrop: Path | None = None,
    ) -> Iterator[I420Frame]:
        """See :class:`Decoder`."""
        frames = ((frame,) for frame in decode_frames(video, info, limits, findings, backdrop))
        for (frame,) in write_frames(frames, file, most_bytes):
            alive()
            yield frame

    def sound(self, audio: Path, limits: AudioLimits, track: Path, speech: Path, alive: Alive) -> Sound:
        """See :class:`Decoder`."""
        return decode_sound(audio, limits, track, speech, alive)


HERE: Final = DecoderHere()
