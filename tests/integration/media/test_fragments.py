import random
import struct
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange

from app.errors import JobCanceled
from app.media.encoder import VideoFormat
from app.media.finish import finish
from app.media.fragments import encode_segment, write_init
from app.media.frames import BgrImage, Color, FrameLayout, I420Frame
from app.media.quality import EncoderSettings, Quality, encoder_settings
from app.media.sound import Sound, TrackSamples
from app.media.timing import Segment
from app.rendering.packing import StreamedMp4
from tests.support.frames import i420
from tests.support.renders import (
    TINY,
    ULTRAFAST,
    VERYFAST,
    decode_pictures,
    decode_samples,
    number_of,
    numbered_frame,
    plan,
    render,
    sound_of,
)
from tests.support.videos import decode

NTSC = Fraction(24000, 1001)


def _boxes(data: bytes) -> list[str]:
    """Return the types of the top-level boxes."""
    types, offset = [], 0
    while offset < len(data):
        size, kind = struct.unpack_from(">I4s", data, offset)
        types.append(kind.decode())
        offset += size
    return types


@pytest.mark.parametrize("settings", [ULTRAFAST, VERYFAST], ids=lambda settings: settings.preset)
@pytest.mark.parametrize("sizes", [[1, 1, 2, 3, 20], [50], [7]], ids=str)
def test_stream_and_final_file_show_the_same_frames_at_the_same_times(
    tmp_path: Path, settings: EncoderSettings, sizes: list[int]
) -> None:
    done = render(tmp_path, sound_of(tmp_path, 2.1), NTSC, sizes, settings=settings)
    stream = done.stream(tmp_path / "stream.mp4")

    streamed, final = list(decode_pictures(stream)), list(decode_pictures(done.result))

    assert len(streamed) == len(final) == done.frames
    for number, (a, b) in enumerate(zip(streamed, final, strict=True)):
        assert a.pts is not None
        assert a.time_base is not None
        assert a.pts * a.time_base == number / NTSC, "shown at number / fps, exactly"
        assert (b.pts, b.time_base) == (a.pts, a.time_base)
        assert number_of(a) == number % 20
        np.testing.assert_array_equal(a.to_ndarray(), b.to_ndarray())
    np.testing.assert_array_equal(decode_samples(stream), decode_samples(done.result))


def test_the_first_sample_is_heard_at_zero_in_both_files(tmp_path: Path) -> None:
    sound = sound_of(tmp_path, 2.1)
    done = render(tmp_path, sound, Fraction(25), [4, 20])
    original = sound.read_track(0, sound.samples)[:, 0] / 32768

    for path in (done.stream(tmp_path / "stream.mp4"), done.result):
        heard = decode_samples(path)[0, : len(original)]
        likeness = np.fft.irfft(np.fft.rfft(heard) * np.fft.rfft(original).conj())
        assert int(np.argmax(likeness)) == 0, "samples by which the sound is late"


def test_a_fragment_is_one_moof_and_one_mdat_and_the_init_has_no_media(tmp_path: Path) -> None:
    done = render(tmp_path, sound_of(tmp_path, 1), Fraction(25), [10])

    assert _boxes(done.init.read_bytes()) == ["ftyp", "moov"]
    for fragment in done.fragments:
        assert _boxes(fragment.read_bytes()) == ["moof", "mdat"]


def test_the_final_file_has_its_index_in_front(tmp_path: Path) -> None:
    done = render(tmp_path, sound_of(tmp_path, 1), Fraction(25), [10])

    types = [kind for kind in _boxes(done.result.read_bytes()) if kind != "free"]

    assert types == ["ftyp", "moov", "mdat"]


def test_a_segment_made_again_alone_is_the_same(tmp_path: Path) -> None:
    sound = sound_of(tmp_path, 2)
    done = render(tmp_path, sound, Fraction(25), [10], settings=VERYFAST)
    segment = plan(done.frames, [10])[3]
    frames = (numbered_frame(TINY, n) for n in range(30, 40))

    encode_segment(tmp_path / "again.m4s", segment, frames, VideoFormat(TINY, Fraction(25)), VERYFAST, sound)

    assert (tmp_path / "again.m4s").read_bytes() == done.fragments[3].read_bytes()


def test_the_sound_of_a_segment_is_encoded_while_its_pictures_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound, read = sound_of(tmp_path, 1), threading.Event()
    read_track = Sound.read_track

    def reading(self: Sound, start: int, stop: int) -> TrackSamples:
        read.set()
        return read_track(self, start, stop)

    def frames() -> Iterator[I420Frame]:
        assert read.wait(timeout=60)
        yield from (numbered_frame(TINY, number) for number in range(10))

    monkeypatch.setattr(Sound, "read_track", reading)
    video, segment = VideoFormat(TINY, Fraction(25)), Segment(0, 0, 10, last=False)
    assert encode_segment(tmp_path / "a.m4s", segment, frames(), video, ULTRAFAST, sound) == 10


def test_a_segment_whose_sound_is_gone_is_not_made(tmp_path: Path) -> None:
    sound = sound_of(tmp_path, 1)
    Path(sound.track_path).unlink()
    video, segment = VideoFormat(TINY, Fraction(25)), Segment(0, 0, 10, last=False)
    frames = (numbered_frame(TINY, number) for number in range(10))

    with pytest.raises(FileNotFoundError):
        encode_segment(tmp_path / "a.m4s", segment, frames, video, ULTRAFAST, sound)

    assert not (tmp_path / "a.m4s").exists()


@pytest.mark.parametrize("quality", ["draft", "standard", "high"])
def test_the_final_file_is_h264_and_aac_that_browsers_play(tmp_path: Path, quality: Quality) -> None:
    settings = encoder_settings(quality, threads=1)
    done = render(tmp_path, sound_of(tmp_path, 1, 44100, 2), Fraction(25), [10], settings=settings)

    with av.open(str(done.result)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.pix_fmt) == ("h264", "yuv420p")
        assert video.profile in ("High", "Constrained Baseline", "Main")
        assert video.average_rate == 25
        assert (audio.codec_context.name, audio.profile) == ("aac", "LC")
        assert (audio.rate, audio.layout.name) == (44100, "stereo")


def test_pictures_after_a_cut_are_good_from_the_first_on(tmp_path: Path) -> None:
    layout, noise = FrameLayout(320, 240), np.random.default_rng(1)
    blocks = noise.integers(16, 235, (2, 30, 40, 3), np.uint8)
    frames = [_picture_of(blocks[int(number >= 14)], number, layout) for number in range(25)]
    video, settings, sound = (
        VideoFormat(layout, Fraction(25)),
        encoder_settings("standard", 1),
        sound_of(tmp_path, 1),
    )
    init, fragment, result = tmp_path / "init.mp4", tmp_path / "0.m4s", tmp_path / "result.mp4"
    write_init(init, video, settings, sound)
    encode_segment(fragment, Segment(0, 0, 25, True), frames, video, settings, sound)
    finish(init, [fragment], result)

    errors = [
        float(np.square(layout.planes(shown)[0] - layout.planes(frame)[0].astype(np.float64)).mean())
        for shown, frame in zip(decode(result).frames, frames, strict=True)
    ]

    assert max(errors) < 13, "37 dB, from the first picture after the cut on"


def _picture_of(blocks: BgrImage, number: int, layout: FrameLayout) -> I420Frame:
    """Return a frame that shows a few blocks, drifting from frame to frame."""
    picture = cv2.resize(blocks, (layout.width, layout.height), interpolation=cv2.INTER_CUBIC)
    return i420(np.roll(picture, number, axis=1), layout)


@pytest.mark.parametrize(
    "color",
    [
        Color("bt709", "limited", 1, 1, 1),
        Color("bt601", "full", 6, 6, 6),
        Color("bt601", "limited"),
        Color("bt2020", "limited", 9, 16, 9),
    ],
)
def test_colour_tags_and_pixel_aspect_are_written(tmp_path: Path, color: Color) -> None:
    layout, aspect = FrameLayout(64, 48, color), Fraction(16, 15)
    video, sound = VideoFormat(layout, Fraction(25), aspect), sound_of(tmp_path, 0.2)
    init, fragment, result = tmp_path / "init.mp4", tmp_path / "0.m4s", tmp_path / "result.mp4"
    frames = (numbered_frame(layout, n) for n in range(5))
    write_init(init, video, ULTRAFAST, sound)
    encode_segment(fragment, Segment(0, 0, 5, True), frames, video, ULTRAFAST, sound)
    finish(init, [fragment], result)

    with av.open(str(result)) as container:
        stream = container.streams.video[0]
        assert (stream.color_range == ColorRange.JPEG) == (color.range == "full")
        assert stream.colorspace == color.matrix_code
        assert (stream.color_primaries, stream.color_trc) == (color.primaries, color.transfer)
        assert stream.sample_aspect_ratio == aspect
    for number, picture in enumerate(decode_pictures(result)):
        assert number_of(picture) == number


@pytest.mark.parametrize("height", [48, 50])
def test_planes_reach_the_encoder_where_they_belong(tmp_path: Path, height: int) -> None:
    layout, sound = FrameLayout(64, height), sound_of(tmp_path, 0.04)
    frame = np.empty(layout.frame_bytes, np.uint8)
    for plane, values in zip(layout.planes(frame), ((40, 200), (90, 150), (160, 100)), strict=True):
        plane[:], plane[-4:] = values[0], values[1]
    video, nearly_lossless = VideoFormat(layout, Fraction(25)), EncoderSettings("ultrafast", 1, 1)
    init, fragment, result = tmp_path / "init.mp4", tmp_path / "0.m4s", tmp_path / "result.mp4"
    write_init(init, video, nearly_lossless, sound)
    encode_segment(fragment, Segment(0, 0, 1, True), [frame], video, nearly_lossless, sound)
    finish(init, [fragment], result)

    (picture,) = decode_pictures(result)

    for index, plane in enumerate(layout.planes(frame)):
        decoded = np.frombuffer(memoryview(picture.planes[index]), np.uint8)
        decoded = decoded.reshape(-1, picture.planes[index].line_size)[:, : plane.shape[1]]
        assert np.abs(decoded.astype(int) - plane).max() <= 2


def test_a_frames_memory_may_be_used_again_for_the_next(tmp_path: Path) -> None:
    sound, video = sound_of(tmp_path, 1), VideoFormat(TINY, Fraction(25))

    def reused() -> Iterator[I420Frame]:
        frame = numbered_frame(TINY, 0)
        for number in range(25):
            frame[:] = numbered_frame(TINY, number)
            yield frame
            frame[:] = random.randbytes(1)[0]

    write_init(tmp_path / "init.mp4", video, VERYFAST, sound)
    encode_segment(tmp_path / "0.m4s", Segment(0, 0, 25, True), reused(), video, VERYFAST, sound)
    finish(tmp_path / "init.mp4", [tmp_path / "0.m4s"], tmp_path / "result.mp4")

    assert [number_of(p) for p in decode_pictures(tmp_path / "result.mp4")] == [n % 20 for n in range(25)]


def test_a_result_shows_life_as_it_is_joined_and_can_be_stopped(tmp_path: Path) -> None:
    done = render(tmp_path, sound_of(tmp_path, 1), Fraction(25))
    again, signs = tmp_path / "again.mp4", list[int]()

    def alive() -> None:
        signs.append(1)
        if len(signs) == 20:
            raise JobCanceled("Stopped.")

    packing = StreamedMp4(VideoFormat(TINY, Fraction(25)), ULTRAFAST, sound_of(tmp_path, 1))
    with pytest.raises(JobCanceled):
        packing.join(done.init, done.fragments, again, alive)
    assert not again.exists()


def test_a_segment_that_is_stopped_leaves_no_file(tmp_path: Path) -> None:
    sound = sound_of(tmp_path / "sound", 1)
    folder = tmp_path / "segments"
    folder.mkdir()

    def stopped() -> Iterator[I420Frame]:
        yield numbered_frame(TINY, 0)
        raise InterruptedError

    video = VideoFormat(TINY, Fraction(25))
    with pytest.raises(InterruptedError):
        encode_segment(folder / "0.m4s", Segment(0, 0, 25, True), stopped(), video, ULTRAFAST, sound)

    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("count", [9, 11])
def test_a_wrong_number_of_frames_is_an_error(tmp_path: Path, count: int) -> None:
    sound, video = sound_of(tmp_path, 1), VideoFormat(TINY, Fraction(25))
    frames = [numbered_frame(TINY, 0)] * count

    with pytest.raises(ValueError, match=f"has 10 frames, not {count}"):
        encode_segment(tmp_path / "0.m4s", Segment(0, 0, 10, True), frames, video, ULTRAFAST, sound)

    assert not (tmp_path / "0.m4s").exists()


@pytest.mark.parametrize(("channels", "layout"), [(1, "mono"), (2, "stereo"), (3, "3.0"), (6, "5.1")])
@pytest.mark.parametrize("rate", [8000, 48000, 96000])
def test_channels_and_rates_of_sound_are_kept(tmp_path: Path, rate: int, channels: int, layout: str) -> None:
    done = render(tmp_path, sound_of(tmp_path, 0.5, rate, channels), Fraction(25), [5])

    with av.open(str(done.result)) as container:
        audio = container.streams.audio[0]
        assert (audio.rate, audio.layout.name) == (rate, layout)
        assert audio.duration == rate // 2
