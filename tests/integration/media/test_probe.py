import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
import pytest

from app.errors import MediaTooLong, NoSound, NotAudio, NotAVideo, TooManyPixels
from app.media import probe
from app.media.limits import AudioLimits, VideoLimits
from app.media.pictures import PictureForm
from app.media.probe import decode_pictures, open_video, probe_audio, probe_video
from app.media.sound import decode_sound
from tests.support.clips import (
    moving_portrait,
    portrait,
    speech,
    speech_like,
    talking_head,
    write_video,
    write_wav,
)
from tests.support.memory import peak_mib, reset_peak
from tests.support.sounds import add_sound

VIDEO_LIMITS = VideoLimits(max_seconds=10, max_pixels=640 * 480)
AUDIO_LIMITS = AudioLimits(max_seconds=10)


def _text(folder: Path) -> Path:
    path = folder / "upload"
    path.write_text("To be, or not to be, that is the question.\n" * 100)
    return path


def _text_named_as_video(folder: Path) -> Path:
    return _text(folder).rename(folder / "upload.mp4")


def _noise(folder: Path) -> Path:
    path = folder / "upload"
    path.write_bytes(np.random.default_rng(0).bytes(100_000))
    return path


def _image(folder: Path) -> Path:
    path = folder / "upload"
    path.write_bytes(cv2.imencode(".png", portrait())[1].tobytes())
    return path


def _photo_named_as_video(folder: Path) -> Path:
    path = folder / "upload.mp4"
    path.write_bytes(cv2.imencode(".jpg", portrait())[1].tobytes())
    return path


def _animated_gif(folder: Path) -> Path:
    path = folder / "upload"
    with av.open(str(path), "w", format="gif") as container:
        stream = container.add_stream("gif", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "rgb8"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(32, 32, "rgb8")))
        container.mux(stream.encode(None))
    return path


def _avif(folder: Path) -> Path:
    """Return a still image in the container of MP4 files."""
    path = folder / "upload"
    path.write_bytes(cv2.imencode(".avif", portrait())[1].tobytes())
    return path


def _empty(folder: Path) -> Path:
    path = folder / "upload.mp4"
    path.touch()
    return path


def _hls_playlist(folder: Path) -> Path:
    talking_head(folder / "secret.mp4", 1)
    path = folder / "upload"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{folder}/secret.mp4\n#EXT-X-ENDLIST\n")
    return path


def _concat_script(folder: Path) -> Path:
    talking_head(folder / "secret.mp4", 1)
    path = folder / "upload"
    path.write_text("ffconcat version 1.0\nfile secret.mp4\n")
    return path


def _dash_manifest(folder: Path) -> Path:
    talking_head(folder / "secret.mp4", 1)
    path = folder / "upload"
    path.write_text(
        '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'profiles="urn:mpeg:dash:profile:isoff-main:2011"><Period><AdaptationSet mimeType="video/mp4">'
        '<Representation id="0" bandwidth="1"><BaseURL>secret.mp4</BaseURL></Representation>'
        "</AdaptationSet></Period></MPD>\n"
    )
    return path


def _cut_index(folder: Path) -> Path:
    """Return an MP4 that lost its end, and with it the index that FFmpeg writes there."""
    path = talking_head(folder / "upload.mp4", 1)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


NEITHER = [
    _text,
    _text_named_as_video,
    _noise,
    _avif,
    _empty,
    _hls_playlist,
    _concat_script,
    _dash_manifest,
    _cut_index,
]
PICTURES = [_image, _photo_named_as_video, _animated_gif]
"""They have no sound, but become a video: see test_pictures_as_video.py."""


@pytest.mark.parametrize("make", NEITHER)
def test_what_is_no_video_is_refused_with_advice(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    with pytest.raises(NotAVideo, match=r"^The file .*\. Send a video such as"):
        probe_video(make(tmp_path), VIDEO_LIMITS)


@pytest.mark.parametrize("make", NEITHER + PICTURES)
def test_what_is_no_sound_is_refused_with_advice(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    with pytest.raises(NotAudio, match=r"^The file .*\. Send a sound file such as"):
        probe_audio(make(tmp_path), AUDIO_LIMITS)


def test_a_playlist_is_not_followed_even_with_a_playlist_name(tmp_path: Path) -> None:
    path = _hls_playlist(tmp_path).rename(tmp_path / "upload.m3u8")

    with pytest.raises(NotAVideo, match="format that this service does not accept"):
        probe_video(path, VIDEO_LIMITS)


def test_a_quicktime_file_with_its_media_elsewhere_is_not_followed(tmp_path: Path) -> None:
    """The data reference of the video track is turned from "in this file" into an alias of another file."""
    secret = talking_head(tmp_path / "secret.mp4", 1, width=64, height=48)
    data = secret.read_bytes()
    marker = data.index(b"url \x00\x00\x00\x01")
    path = tmp_path / "upload.mov"
    path.write_bytes(data[:marker] + b"alis\x00\x00\x00\x00" + data[marker + 8 :])

    with av.open(str(path), options={"enable_drefs": "1"}) as container:
        assert container.streams.video
    info = probe_video(path, VIDEO_LIMITS)

    assert (info.layout.width, info.layout.height) == (64, 48)  # read from the file itself: nothing else is


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(NotAVideo, match="sound without moving pictures"):
        probe_video(speech(tmp_path / "a.wav", 1), VIDEO_LIMITS)


def test_sound_with_cover_art_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "a.m4a"
    _write_sound_with_cover(path)
    with av.open(str(path)) as container:
        assert container.streams.video, "the cover must be there as a video stream"

    with pytest.raises(NotAVideo, match="sound without moving pictures"):
        probe_video(path, VIDEO_LIMITS)
    assert probe_audio(path, AUDIO_LIMITS).sample_rate == 16000


def _write_sound_with_cover(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        sound = container.add_stream("aac", rate=16000)
        sound.layout = "mono"
        container.mux(cover.encode(av.VideoFrame(32, 32, "yuvj420p")))
        container.mux(cover.encode(None))
        frame = av.AudioFrame.from_ndarray(speech_like(1.0)[None], "fltp", "mono")
        frame.sample_rate = 16000
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))


def test_a_video_without_sound_is_no_sound(tmp_path: Path) -> None:
    with pytest.raises(NoSound):
        probe_audio(talking_head(tmp_path / "a.mp4", 1), AUDIO_LIMITS)


def test_sound_of_no_length_is_no_sound(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", speech_like(0))

    with pytest.raises(NoSound):
        decode_sound(path, AUDIO_LIMITS, tmp_path / "track", tmp_path / "speech")


@pytest.mark.parametrize("kept", [0.5, 0.95])
def test_a_video_cut_short_behind_its_index_is_refused(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "a.mp4"
    _faststart(talking_head(tmp_path / "whole.mp4", 2), path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])

    with pytest.raises(NotAVideo, match="cut short"):
        probe_video(path, VIDEO_LIMITS)


def _faststart(source: Path, target: Path) -> None:
    with av.open(str(source)) as old, av.open(str(target), "w", options={"movflags": "faststart"}) as new:
        stream = new.add_stream_from_template(old.streams.video[0], opaque=True)
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)


def test_a_video_of_a_huge_image_is_refused_by_its_header(tmp_path: Path) -> None:
    path = _image_video(tmp_path / "a.mov", _huge_png(20000))
    tiny, huge = (64).to_bytes(2) * 2, (20000).to_bytes(2) * 2
    path.write_bytes(path.read_bytes().replace(tiny, huge))
    reset_peak()
    before = peak_mib()

    with pytest.raises(TooManyPixels, match="20000x20000"):
        probe_video(path, VIDEO_LIMITS)

    assert peak_mib() - before < 20, "no picture may be decoded"


def test_a_huge_image_under_a_small_header_is_not_decoded(tmp_path: Path) -> None:
    path = _image_video(tmp_path / "a.mov", _huge_png(20000))
    reset_peak()
    before = peak_mib()

    with pytest.raises(NotAVideo, match="No frame of the video can be decoded"):
        probe_video(path, VIDEO_LIMITS)

    assert peak_mib() - before < 20, "no picture may be decoded"


def _image_video(path: Path, image: bytes) -> Path:
    """Write a video of one PNG, with a header that says 64x64."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "monob"
        packet: av.Packet[av.stream.Stream] = av.Packet(image)
        packet.stream, packet.time_base = stream, Fraction(1, 25)
        packet.pts = packet.dts = 0
        container.mux(packet)
    return path


def _huge_png(size: int) -> bytes:
    """Return a black image of 1 bit a pixel, a few kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    header = size.to_bytes(4) * 2 + bytes([1, 0, 0, 0, 0])
    rows = zlib.compress(bytes((size // 8 + 1) * size))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("codec", "suffix"), [("libx264", "mp4"), ("mjpeg", "avi"), ("mpeg2video", "ts")])
def test_pictures_larger_than_the_limit_are_refused(tmp_path: Path, codec: str, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = 800, 600
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        container.mux(stream.encode(av.VideoFrame(800, 600, stream.pix_fmt)))
        container.mux(stream.encode(None))

    with pytest.raises(TooManyPixels, match="800x600"):
        probe_video(path, VIDEO_LIMITS)


def test_a_video_that_is_too_long_is_refused_by_its_header(tmp_path: Path) -> None:
    path = talking_head(tmp_path / "a.mp4", 12, fps=2, width=64, height=48)

    with pytest.raises(MediaTooLong, match=r"lasts 12\.0 s; the limit is 10 s"):
        probe_video(path, VIDEO_LIMITS)


def test_sound_that_is_too_long_is_refused(tmp_path: Path) -> None:
    path = speech(tmp_path / "a.wav", 12, rate=8000)

    with pytest.raises(MediaTooLong, match=r"lasts 12\.0 s"):
        probe_audio(path, AUDIO_LIMITS)
    with pytest.raises(MediaTooLong):
        decode_sound(path, AUDIO_LIMITS, tmp_path / "track", tmp_path / "speech")


@pytest.mark.parametrize("name", ["a b.mp4", "ä€.mp4", "http:.mp4", "100%d.mp4", "concat:x.mp4"])
def test_the_name_of_a_file_means_nothing(tmp_path: Path, name: str) -> None:
    path = talking_head(tmp_path / "a.mp4", 0.2).rename(tmp_path / name)

    assert probe_video(path, VIDEO_LIMITS).fps == Fraction(25)


def test_metadata_that_is_no_text_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "Cafe"
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode(None))
    path.write_bytes(path.read_bytes().replace(b"Cafe", b"\xff\xfe\xc3\x28"))

    assert probe_video(path, VIDEO_LIMITS).layout.width == 64


def test_what_a_video_is(tmp_path: Path) -> None:
    info = probe_video(talking_head(tmp_path / "a.mp4", 1.2, fps=Fraction(30000, 1001)), VIDEO_LIMITS)

    assert (info.layout.width, info.layout.height) == (320, 240)
    assert info.fps == Fraction(30000, 1001)
    assert info.frame_count == 36
    assert info.duration == pytest.approx(1.2, abs=0.01)
    assert info.sample_aspect_ratio == 1
    assert (info.form.orientation.rotation, info.codec) == (0, "h264")


def _hidden_first_packet(path: Path) -> Path:
    """Write a video whose first packet cannot be decoded; a keyframe comes again after five pictures."""
    whole = _reordered(path.with_name("whole.mp4"))
    with av.open(str(whole)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0], opaque=True)
        for number, packet in enumerate(old.demux(video=0)):
            if packet.dts is None:
                continue
            if number == 0:
                noise = cast("av.Packet[av.VideoStream]", av.Packet(bytes([0, 0, 0, 9, 0x65]) + bytes(8)))
                noise.pts, noise.dts, noise.time_base = packet.pts, packet.dts, packet.time_base
                noise.is_keyframe = True
                packet = noise
            packet.stream = stream
            new.mux(packet)
    return path


def _reordered(path: Path, options: str = "") -> Path:
    frames = [moving_portrait(i, 320, 240) for i in range(15)]
    return write_video(path, frames, options={"g": "5", "x264-params": f"bframes=3:b-adapt=0:{options}"})


def _fields(path: Path) -> Path:
    """Write interlaced MPEG-2, as broadcast."""
    frames = [moving_portrait(i, 320, 240) for i in range(8)]
    options = {"flags": "+ilme+ildct", "field_order": "tt", "bf": "2", "g": "5"}
    return write_video(path, frames, codec="mpeg2video", options=options)


def _joined_in_the_middle(path: Path) -> Path:
    """Write a broadcast that begins between two keyframes."""
    data = _reordered(path.with_name("whole.ts")).read_bytes()
    tables = data[: 3 * 188]
    path.write_bytes(tables + data[3 * 188 + (len(data) // 188 // 4) * 188 :])
    return path


@pytest.mark.parametrize(
    "video",
    [
        lambda folder: talking_head(folder / "a.mp4", 1),
        lambda folder: _reordered(folder / "a.mp4"),
        lambda folder: _reordered(folder / "a.mkv", "open-gop=1"),
        lambda folder: _reordered(folder / "a.ts", "open-gop=1"),
        lambda folder: _reordered(folder / "a.mp4", "tff=1"),
        lambda folder: _fields(folder / "a.mpg"),
        lambda folder: _hidden_first_packet(folder / "a.mp4"),
        lambda folder: _joined_in_the_middle(folder / "a.ts"),
    ],
    ids=["plain", "reordered", "open", "open-ts", "interlaced", "fields", "damaged", "joined"],
)
def test_a_video_is_what_its_first_picture_is(tmp_path: Path, video: Callable[[Path], Path]) -> None:
    path = video(tmp_path)

    info = probe_video(path, VIDEO_LIMITS)

    with open_video(path, VIDEO_LIMITS) as (container, stream):
        first = next(decode_pictures(container, stream))
    assert info.form == PictureForm.of(first)


def test_one_picture_is_decoded_to_see_what_a_video_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(*_: object) -> None:
        raise AssertionError("the first packet is enough")

    path = _reordered(tmp_path / "a.mp4")
    monkeypatch.setattr(probe, "decode_pictures", no_more)

    assert probe_video(path, VIDEO_LIMITS).layout.width == 320


def test_what_a_sound_is(tmp_path: Path) -> None:
    info = probe_audio(speech(tmp_path / "a.wav", 1.5, rate=44100, channels=2), AUDIO_LIMITS)

    assert (info.sample_rate, info.channels, info.duration) == (44100, 2, 1.5)


@pytest.mark.parametrize("tag", [b"DURATION", b"xURATION"])
def test_the_pictures_of_a_matroska_file_are_not_as_long_as_its_sound(tmp_path: Path, tag: bytes) -> None:
    clip = talking_head(tmp_path / "head.mp4", 2.0)
    signal = np.zeros((1, 5 * 8000), np.float32)
    recording = add_sound(clip, tmp_path / "head.mkv", signal, 8000, 0.0)
    recording.write_bytes(recording.read_bytes().replace(b"DURATION", tag))
    limits = VideoLimits(max_seconds=3, max_pixels=640 * 480)
    assert probe_video(recording, limits).duration == pytest.approx(2.0, abs=0.05)
    with pytest.raises(MediaTooLong):
        probe_video(recording, VideoLimits(max_seconds=1, max_pixels=640 * 480))


@pytest.mark.parametrize("own", [None, "00:00:02.000000000"])
def test_a_tag_that_is_older_than_the_file_does_not_lengthen_it(tmp_path: Path, own: str | None) -> None:
    path = tmp_path / "head.mkv"
    clip = talking_head(tmp_path / "head.mp4", 2.0)
    with av.open(str(clip)) as container, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(container.streams.video[0])
        stream.metadata["DURATION-eng"] = "01:30:00.000000000"
        for packet in container.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    if own is None:  # FFmpeg's own tag
        path.write_bytes(path.read_bytes().replace(b"\x45\xa3\x88DURATION\x44", b"\x45\xa3\x88xURATION\x44"))
    info = probe_video(path, VideoLimits(max_seconds=3, max_pixels=640 * 480))
    assert info.duration == pytest.approx(2.0, abs=0.05)
    assert info.frame_count == 50


def test_of_a_file_that_was_written_live_a_tag_says_nothing(tmp_path: Path) -> None:
    """It is what was left of the file that was read."""
    path, clip = tmp_path / "live.mkv", talking_head(tmp_path / "head.mp4", 2.0)
    with av.open(str(clip)) as container, av.open(str(path), "w", options={"live": "1"}) as new:
        stream = new.add_stream_from_template(container.streams.video[0])
        stream.metadata["DURATION-eng"] = "00:00:01.000000000"
        for packet in container.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    assert probe_video(path, VideoLimits(max_seconds=3, max_pixels=640 * 480)).duration == 0
