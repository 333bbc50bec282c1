"""What an upload is, before any expensive work: size, rate, duration, or the right refusal."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Final, TypeVar

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition

from app.errors import LimitExceeded, NoSound, NotAudio, NotAVideo, UnsupportedMedia
from app.media import codecs
from app.media.containers import Refusal, decode_stream, open_media, refuse
from app.media.frames import FrameLayout
from app.media.limits import (
    MAX_FRAME_SAMPLES,
    AudioLimits,
    VideoLimits,
    check_length,
    check_pixels,
    check_seconds,
    check_sound,
    check_squared,
)
from app.media.pictures import Orientation, PictureForm
from app.media.pixel_aspect import needs_squaring
from app.media.still import look_at
from app.media.timing import choose_fps, frame_count, may_change_its_clock
from app.media.transparency import alpha_decoder
from app.media.treatment import PLAIN, Treatment
from app.progress import Alive, nothing
from app.sandbox import sparing

_StreamT = TypeVar("_StreamT", av.VideoStream, av.AudioStream)
_NOT_CONTENT: Final = Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails

_TAGGED_LENGTH: Final = re.compile(r"(\d{1,6}):(\d\d):(\d\d(?:\.\d{1,9})?)")

_MOST_REORDERED: Final = 16
"""Most pictures stored before one that is shown before them (ITU-T H.264, max_num_reorder_frames)."""

_DECODER_BYTES: Final = 512 << 20
_DECODER_BYTES_A_PIXEL: Final = 256
"""Memory for decoding pictures: sixteen threads and as many references of 12 bits in all colours take 200."""


@dataclass(frozen=True)
class VideoInfo:
    """A video as :func:`app.media.video.decode_frames` gives it: upright, cropped to even, constant rate.

    ``frame_count`` and ``duration`` (seconds) are what the header says until the video has been decoded.
    """

    form: PictureForm
    fps: Fraction
    frame_count: int
    duration: float
    sample_aspect_ratio: Fraction
    """Of the frames: width over height of a pixel."""
    codec: str
    treatment: Treatment = PLAIN
    """What is done to the pictures beside decoding."""

    @property
    def layout(self) -> FrameLayout:
        """Size and colour of the frames."""
        return self.form.layout

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame."""
        if self.treatment.deep:
            return self.layout.deep_bytes
        return self.layout.transparent_bytes if self.treatment.transparent else self.layout.frame_bytes


@dataclass(frozen=True)
class AudioInfo:
    """The sound track that is used of a file; ``duration`` (s) is what the header says, 0 if nothing."""

    sample_rate: int
    channels: int
    layout: str
    duration: float
    codec: str


def probe_video(
    path: Path, limits: VideoLimits, treatment: Treatment = PLAIN, alive: Alive = nothing
) -> VideoInfo:
    """Read the header and the first picture of ``path``, which will get this ``treatment``.

    ``alive`` is called while its packets are counted, if they must be, and may raise to stop the work. Raises
    NotAVideo, TooManyPixels (before a picture is decoded), MediaTooLong.
    """
    with open_video(path, limits) as (container, stream):
        lasting = announced(container, stream)
        counts = may_change_its_clock(container.format.name) or not stream.duration
        if lasting > limits.max_seconds and counts:
            lasting = _packets_lasting(path, alive)
        check_seconds(lasting, limits.max_seconds, "video")
        check_complete(container, stream, NotAVideo)
        stream.codec_context.thread_count = 1  # more take longer to start than a single picture does
        first = _first_picture(container, stream) or _first_decoded(path, limits)
        check_pixels(first.width, first.height, limits)
        still = look_at(path)
        info = _video_info(stream, first, treatment, still.orientation if still else None, lasting)
        if info.treatment.square:
            check_squared(info.layout.width, info.layout.height, (first.width, first.height), limits)
        return info


@contextmanager
def open_video(path: Path, limits: VideoLimits) -> Iterator[tuple[InputContainer, av.VideoStream]]:
    """Open ``path`` and choose its video stream; cover art and thumbnails are no video.

    Nothing but that stream is decoded. Raises NotAVideo, TooManyPixels (before a picture is decoded).
    """
    still = look_at(path)
    if still:
        if still.is_animated_webp:
            raise NotAVideo("An animated WebP cannot be read; send it as GIF, APNG or MP4.")
        check_pixels(still.width, still.height, limits)
    demuxer = still.demuxer if still else None
    with open_media(path, NotAVideo, demuxer=demuxer) as container:
        decoder, pixels = _video_decoder(container, limits)
    options = {"max_pixels": str(limits.max_pixels)}
    pixels = still.width * still.height if still else pixels
    memory = _DECODER_BYTES + _DECODER_BYTES_A_PIXEL * (pixels or limits.max_pixels)
    with sparing(memory), open_media(path, NotAVideo, decoder, options, demuxer=demuxer) as container:
        stream = _main_stream(container.streams.video)
        if stream is None or stream.codec_context.name != decoder:
            raise refuse(NotAVideo, "The video stream of the file changes from one reading to the next.")
        stream.codec_context.options = options
        stream.thread_type = "AUTO"
        yield container, stream


def _first_picture(container: InputContainer, stream: av.VideoStream) -> av.VideoFrame | None:
    """Decode the first packet alone, so that its picture waits for no other; None if it is not enough."""
    decoder = alpha_decoder(stream) or stream
    with suppress(FFmpegError):
        packet = next(container.demux(stream), None)
        if packet is not None:
            return next(iter([*decoder.decode(packet), *decoder.decode(None)]), None)
    return None


def _first_decoded(path: Path, limits: VideoLimits) -> av.VideoFrame:
    """Decode a video until there is a picture. Raises NotAVideo if none comes."""
    with open_video(path, limits) as (container, stream):
        stream.codec_context.thread_count = 1
        first = next(decode_pictures(container, stream), None)
        if first is None:
            raise no_picture(limits)
        return first


def decode_pictures(container: InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
    """Decode the pictures of an opened video, their transparency included."""
    return decode_stream(container, stream, alpha_decoder(stream))


def probe_audio(path: Path, limits: AudioLimits) -> AudioInfo:
    """Read the header of the sound in ``path``. Raises NotAudio, NoSound, MediaTooLong, TooManyFrames."""
    with open_audio(path) as (container, stream):
        duration = announced(container, stream)
        check_announced(duration, limits, path)
        check_complete(container, stream, NotAudio)
        return AudioInfo(
            stream.rate, stream.channels, stream.layout.name, float(duration), stream.codec_context.name
        )


@contextmanager
def open_audio(path: Path, part: range | None = None) -> Iterator[tuple[InputContainer, av.AudioStream]]:
    """Open ``path``, or ``part`` of it, and choose its sound: the default audio stream, or the first.

    Nothing but that stream is decoded. Raises NotAudio, NoSound.
    """
    with open_media(path, NotAudio, part=part) as container:
        decoder = _sound_decoder(container)
    options = {"max_samples": str(MAX_FRAME_SAMPLES)}
    with open_media(path, NotAudio, decoder, options, part) as container:
        stream = _main_stream(container.streams.audio)
        if stream is None or not stream.codec_context or not stream.rate or not stream.channels:
            raise refuse(NotAudio, "The audio codec is not supported, or its header is damaged.")
        check_sound(stream.rate, stream.channels)
        stream.codec_context.options = options
        yield container, stream


def pictures_begin(path: Path, part: range | None = None) -> Fraction | None:
    """Return when a video shows its first picture, seconds on the file's clock; None if it shows none.

    What a trimmed MP4 hides is not shown, nor what needs pictures from before the first keyframe.
    """
    with open_media(path, NotAudio, part=part) as container:
        stream = _main_stream(container.streams.video)
        if stream is None or stream.time_base is None:
            return None
        keyframe: int | None = None
        shown: list[int] = []
        for packet in container.demux(stream):
            if packet.pts is None:
                continue
            if keyframe is None and packet.is_keyframe:
                keyframe = packet.pts
            if keyframe is not None and packet.pts >= keyframe and not packet.is_discard:
                shown.append(packet.pts)
            if len(shown) == _MOST_REORDERED:
                break
        return min(shown) * stream.time_base if shown else None


def _video_decoder(container: InputContainer, limits: VideoLimits) -> tuple[str, int]:
    """Return the decoder of the video stream, and the pixels of its pictures by the headers; 0: unsaid."""
    for any_stream in container.streams.video:
        if any_stream.codec_context:
            check_pixels(any_stream.width, any_stream.height, limits)
    stream = _main_stream(container.streams.video)
    if stream is None:
        kind = "is sound without moving pictures" if container.streams.audio else "has no video stream"
        raise refuse(NotAVideo, f"The file {kind}.")
    if not stream.codec_context or not codecs.is_video(stream.codec_context.name):
        raise refuse(NotAVideo, "The video's codec is not supported.")
    return stream.codec_context.name, stream.width * stream.height


def _sound_decoder(container: InputContainer) -> str:
    """Return the decoder of the sound, from what the headers say."""
    stream = _main_stream(container.streams.audio)
    if stream is None:
        raise NoSound("The file has no audio track. Send one that contains speech.")
    context = stream.codec_context
    if not context or not codecs.is_sound(context.name):
        raise refuse(NotAudio, "The audio codec is not supported.")
    if stream.rate and stream.channels:  # else they stand in the stream itself, and are checked later
        check_sound(stream.rate, stream.channels)
    if context.name == "alac" and _alac_frame_samples(context.extradata or b"") > MAX_FRAME_SAMPLES:
        raise refuse(NotAudio, "The audio's header declares frames of impossible length.")
    return context.name


def _alac_frame_samples(cookie: bytes) -> int:
    """Return the frame length in the header of Apple Lossless, for which its decoder makes room at once."""
    return int.from_bytes(cookie[12:16], "big")


def no_picture(limits: VideoLimits) -> UnsupportedMedia:
    """Return the error for a video of which nothing decodes."""
    return refuse(
        NotAVideo,
        "No frame of the video can be decoded: the file is damaged, "
        f"or its frames have more than the limit of {limits.max_pixels} pixels.",
    )


def check_announced(
    seconds: Fraction, limits: AudioLimits, path: Path, part: range | None = None, alive: Alive = nothing
) -> None:
    """Raise what :func:`check_length` does for sound that is too long by its header, and by its packets.

    A header's length may be a guess from the bit rate, so the packets are counted too, but not decoded.
    """
    try:
        check_length(seconds, limits)
    except LimitExceeded:
        check_length(packet_seconds(path, part, alive), limits)


def packet_seconds(path: Path, part: range | None, alive: Alive) -> Fraction:
    """Return how long the packets of the sound last, seconds; those that say nothing count as 0."""
    with open_audio(path, part) as (container, stream):
        return _lasting(container, stream, alive)


def _packets_lasting(video: Path, alive: Alive) -> Fraction:
    with open_media(video, NotAVideo) as container:
        stream = _main_stream(container.streams.video)
        return _lasting(container, stream, alive) if stream else Fraction(0)


def _lasting(container: InputContainer, stream: av.VideoStream | av.AudioStream, alive: Alive) -> Fraction:
    lasting = Fraction(0)
    with suppress(FFmpegError):  # what is damaged is found when the stream is decoded
        for packet in container.demux(stream):
            alive()
            lasting += packet.duration or 0
    return lasting * (stream.time_base or 0)


def check_complete(
    container: InputContainer, stream: av.VideoStream | av.AudioStream, refusal: Refusal
) -> None:
    """Raise ``refusal`` if the file ends before the last packet that its index names."""
    entries = stream.index_entries
    if not len(entries):
        return
    last = entries[len(entries) - 1]
    if last.pos + last.size > container.size:
        raise refuse(refusal, "The file is cut short: it ends before the last packet that its index lists.")


def _main_stream(streams: Sequence[_StreamT]) -> _StreamT | None:
    content = [stream for stream in streams if not stream.disposition & _NOT_CONTENT]
    default = (stream for stream in content if stream.disposition & Disposition.default)
    return next(default, content[0] if content else None)


def announced(container: InputContainer, stream: av.VideoStream | av.AudioStream) -> Fraction:
    """Return how long a stream lasts by its header, seconds, or else the file; 0 if neither is said.

    A tag may be older than the file: it is believed for less than the file says, not for more.
    """
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base
    whole, tagged = Fraction(container.duration or 0, av.time_base), _tagged_length(stream)
    return min(whole, tagged) if tagged else whole


def _tagged_length(stream: av.VideoStream | av.AudioStream) -> Fraction:
    """Return how long a stream of Matroska lasts by its tag, seconds; 0 if it has none.

    mkvmerge's tag has a language, as in ``DURATION-eng``. FFmpeg passes it on unchanged beside its own.
    """
    tags = {name.upper(): value for name, value in stream.metadata.items()}
    named = [name for name in sorted(tags) if name == "DURATION" or name.startswith("DURATION-")]
    found = _TAGGED_LENGTH.fullmatch(tags[named[0]]) if named else None
    hours, minutes, seconds = found.groups() if found else (0, 0, 0)
    return 3600 * Fraction(hours) + 60 * Fraction(minutes) + Fraction(seconds)


def _video_info(
    stream: av.VideoStream,
    first: av.VideoFrame,
    treatment: Treatment,
    stored: Orientation | None,
    lasting: Fraction,
) -> VideoInfo:
    fps = choose_fps(stream.average_rate, (stream.guessed_rate, stream.base_rate))
    aspect = stream.sample_aspect_ratio or Fraction(1)
    treatment = replace(treatment, square=treatment.square and needs_squaring(aspect))
    form = PictureForm.of(first, treatment, stored, aspect)
    if treatment.square:
        aspect = Fraction(1)
    return VideoInfo(
        form=form,
        fps=fps,
        frame_count=frame_count(lasting, fps),
        duration=float(lasting),
        sample_aspect_ratio=1 / aspect if form.orientation.swaps_sides else aspect,
        codec=stream.codec_context.name,
        treatment=treatment,
    )
