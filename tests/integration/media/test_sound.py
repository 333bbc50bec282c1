import dataclasses
import json
import struct
import sys
from fractions import Fraction
from pathlib import Path
from uuid import UUID

import av
import numpy as np
import numpy.typing as npt
import pytest

from app.audio.loudness import last_word, loudness_of
from app.errors import LimitExceeded, MediaTooLong, NoSound, NotAudio, TooManyFrames
from app.media.limits import AudioLimits
from app.media.probe import announced
from app.media.sound import Sound, decode_sound
from tests.support.clips import speech, speech_like, talking_head

LIMITS = AudioLimits(max_seconds=60)
Signal = npt.NDArray[np.float32]


def _decode(path: Path, limits: AudioLimits = LIMITS) -> Sound:
    return decode_sound(path, limits, path.with_suffix(".track"), path.with_suffix(".speech"))


def _write(
    path: Path,
    signal: Signal,
    rate: int,
    codec: str,
    layout: str = "mono",
    start: float = 0,
    sample_format: str | None = None,
) -> Path:
    """Write ``signal`` in every channel, beginning at ``start`` seconds."""
    channels = av.AudioLayout(layout).nb_channels
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        assert isinstance(stream, av.AudioStream)
        stream.layout, stream.bit_rate = layout, 96000 * channels
        stream.format = sample_format or stream.format
        stream.time_base = stream.codec_context.time_base = Fraction(1, rate)
        resampler = av.AudioResampler(stream.format, layout, rate, stream.codec_context.frame_size or 1024)
        frame = av.AudioFrame.from_ndarray(np.repeat(signal, channels)[None], "flt", layout)
        frame.sample_rate, frame.pts = rate, round(start * rate)
        for piece in (*resampler.resample(frame), *resampler.resample(None), None):
            container.mux(stream.encode(piece))
    return path


@pytest.mark.parametrize(
    ("codec", "suffix", "rate"),
    [
        ("pcm_s16le", "wav", 16000),
        ("pcm_s24le", "wav", 48000),
        ("pcm_f32le", "wav", 24000),
        ("pcm_s16be", "aiff", 44100),
        ("flac", "flac", 44100),
        ("libmp3lame", "mp3", 44100),
        ("aac", "m4a", 44100),
        ("aac", "aac", 44100),
        ("libopus", "ogg", 48000),
        ("libopus", "webm", 48000),
        ("pcm_s16le", "mkv", 22050),
    ],
)
def test_formats_keep_rate_and_length(tmp_path: Path, codec: str, suffix: str, rate: int) -> None:
    sound = _decode(_write(tmp_path / f"a.{suffix}", speech_like(1.5, rate), rate, codec))

    assert (sound.sample_rate, sound.channels, sound.layout) == (rate, 1, "mono")
    assert sound.duration == sound.samples / rate
    assert sound.duration == pytest.approx(1.5, abs=0.001 if "pcm" in codec or codec == "flac" else 0.06)
    assert sound.speech_samples == pytest.approx(sound.duration * 16000, abs=2)


@pytest.mark.parametrize("strange", [np.inf, -np.inf, np.nan, 3e38])
@pytest.mark.parametrize("rate", [16000, 44100])
def test_what_is_no_sample_does_not_reach_the_mouth(tmp_path: Path, strange: float, rate: int) -> None:
    signal = speech_like(1.5, rate)
    for place in (slice(rate // 2, rate // 2 + 5), slice(None)):
        sent = signal.copy()
        sent[place] = strange
        sound = _decode(_write(tmp_path / "strange.wav", sent, rate, "pcm_f32le"))
        heard = sound.read_speech(0, 24000)
        assert np.isfinite(heard).all()
        assert np.abs(heard).max() <= 1.1
        assert np.isfinite(loudness_of(sound).gain)
        assert last_word(sound) <= sound.duration


def test_floats_beyond_full_scale_are_heard(tmp_path: Path) -> None:
    signal = speech_like(1.0, 16000)
    sound = _decode(_write(tmp_path / "loud.wav", signal * np.float32(20000), 16000, "pcm_f32le"))
    np.testing.assert_allclose(sound.read_speech(0, 16000), signal * 20000, rtol=1e-5)


def test_lossless_samples_are_the_callers_own(tmp_path: Path) -> None:
    sound = _decode(speech(tmp_path / "a.wav", 1.0, 44100))

    expected = (speech_like(1.0, 44100) * 32767).astype("<i2")
    np.testing.assert_array_equal(sound.read_track(0, sound.samples)[:, 0], expected)


@pytest.mark.parametrize("rate", [8000, 24000, 44100, 48000])
def test_speech_is_resampled_in_place_and_at_its_level(tmp_path: Path, rate: int) -> None:
    t = np.arange(rate) / rate
    burst = (0.5 * np.sin(2 * np.pi * 440 * t) * np.exp(-(((t - 0.5) / 0.05) ** 2))).astype(np.float32)

    sound = _decode(_write(tmp_path / "a.wav", burst, rate, "pcm_s16le"))

    t = np.arange(16000) / 16000
    expected = 0.5 * np.sin(2 * np.pi * 440 * t) * np.exp(-(((t - 0.5) / 0.05) ** 2))
    np.testing.assert_allclose(sound.read_speech(0, 16000), expected, atol=2e-3)


@pytest.mark.parametrize("layout", ["stereo", "5.1", "7.1"])
@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_f32le"])
def test_speech_has_the_same_level_from_any_number_of_channels(
    tmp_path: Path, layout: str, codec: str
) -> None:
    signal = 0.5 * speech_like(1.0, 16000)

    sound = _decode(_write(tmp_path / "a.wav", signal, 16000, codec, layout))

    np.testing.assert_allclose(sound.read_speech(0, 16000), signal, atol=1e-3)


@pytest.mark.parametrize(
    ("layout", "kept"),
    [("stereo", "stereo"), ("3.0", "3.0"), ("quad", "4.0"), ("5.1(side)", "5.1"), ("7.1", "5.1")],
)
def test_channels_are_kept_as_aac_knows_them(tmp_path: Path, layout: str, kept: str) -> None:
    sound = _decode(_write(tmp_path / "a.wav", speech_like(0.5, 16000), 16000, "pcm_s16le", layout))

    assert sound.layout == kept
    assert sound.channels == av.AudioLayout(kept).nb_channels
    assert sound.read_track(0, 10).shape == (10, sound.channels)


@pytest.mark.parametrize("channels", [9, 11, 20, 24])
@pytest.mark.parametrize(
    ("codec", "suffix", "sample_format"),
    [
        ("pcm_s16le", "wav", None),
        ("pcm_f64le", "wav", None),
        ("pcm_s64le", "wav", None),
        ("wavpack", "mkv", "s16p"),
    ],
)
def test_sound_of_as_many_channels_as_are_accepted_is_heard(
    tmp_path: Path, channels: int, codec: str, suffix: str, sample_format: str | None
) -> None:
    signal, layout = 0.5 * speech_like(1.0), f"{channels} channels"
    path = _write(tmp_path / f"a.{suffix}", signal, 16000, codec, layout, sample_format=sample_format)

    sound = _decode(path)

    assert (sound.layout, sound.duration) == ("stereo" if channels == 24 else "5.1", 1.0)
    if channels < 24:
        np.testing.assert_allclose(sound.read_speech(0, 16000), signal, atol=1e-3)


@pytest.mark.parametrize(
    ("mask", "channels", "kept"), [(0x600, 2, "stereo"), (0x9, 2, "stereo"), (0x600F, 6, "5.1")]
)
def test_channels_that_cannot_be_mixed_where_they_stand_are_taken_by_their_number(
    tmp_path: Path, mask: int, channels: int, kept: str
) -> None:
    """They stand at the sides, left and low, and twice below the ceiling instead of behind."""
    rate, signal = 16000, 0.5 * speech_like(1.0)
    head = (0xFFFE, channels, rate, 2 * rate * channels, 2 * channels, 16, 22, 16, mask)
    form = struct.pack("<HHIIHHHHI", *head) + UUID("00000001-0000-0010-8000-00aa00389b71").bytes_le
    data = (signal.repeat(channels) * 32767).astype("<i2").tobytes()
    chunks = b"".join(
        name + struct.pack("<I", len(content)) + content
        for name, content in ((b"fmt ", form), (b"data", data))
    )
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)

    sound = _decode(path)

    assert sound.layout == kept
    np.testing.assert_allclose(sound.read_speech(0, rate), signal, atol=1e-3)


@pytest.mark.parametrize("samples", [1, 5, 7, 20])
@pytest.mark.parametrize("rate", [8000, 48000, 192000, 384000])
def test_a_sound_of_a_few_samples_is_heard_or_is_none(tmp_path: Path, rate: int, samples: int) -> None:
    path = _write(tmp_path / "a.wav", np.ones(samples, np.float32), rate, "pcm_s16le")

    try:
        assert _decode(path).samples > 0
    except NoSound:
        assert rate > 48000  # nothing is left of so few


@pytest.mark.parametrize("rate", [192000, 37800])
def test_rates_that_aac_does_not_know_become_48000(tmp_path: Path, rate: int) -> None:
    sound = _decode(_write(tmp_path / "a.wav", speech_like(0.5, rate), rate, "pcm_s16le"))

    assert sound.sample_rate == 48000
    assert sound.duration == pytest.approx(0.5, abs=0.001)


def test_sound_that_starts_late_in_its_container_starts_at_its_first_sample(tmp_path: Path) -> None:
    sound = _decode(_write(tmp_path / "a.mkv", speech_like(1.0), 16000, "pcm_s16le", start=2.5))

    assert sound.duration == pytest.approx(1.0, abs=0.001)
    np.testing.assert_allclose(sound.read_speech(0, 16000), speech_like(1.0), atol=1e-3)


def test_the_sound_of_a_video_is_used(tmp_path: Path) -> None:
    silent = talking_head(tmp_path / "silent.mp4", 1)
    path = tmp_path / "a.mp4"
    with av.open(str(silent)) as source, av.open(str(path), "w") as target:
        video = target.add_stream_from_template(source.streams.video[0], opaque=True)
        audio = target.add_stream("aac", rate=16000)
        audio.layout = "mono"
        frame = av.AudioFrame.from_ndarray(speech_like(1.0)[None], "fltp", "mono")
        frame.sample_rate, frame.pts = 16000, 0
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                target.mux(packet)
        target.mux(audio.encode(frame))
        target.mux(audio.encode(None))

    assert _decode(path).duration == pytest.approx(1.0, abs=0.07)


def test_a_format_that_changes_on_the_way_is_followed(tmp_path: Path) -> None:
    parts = [
        _write(tmp_path / "a.aac", speech_like(1.0, 44100), 44100, "aac"),
        _write(tmp_path / "b.aac", speech_like(1.0, 22050), 22050, "aac", "stereo"),
    ]
    path = tmp_path / "joined.aac"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))

    sound = _decode(path)

    assert (sound.sample_rate, sound.layout) == (44100, "mono")
    assert sound.duration == pytest.approx(2.0, abs=0.2)
    assert sound.speech_samples == pytest.approx(sound.duration * 16000, abs=5)


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("pcm_s16le", "wav"), ("flac", "flac"), ("libmp3lame", "mp3"), ("aac", "m4a"), ("libopus", "webm")],
)
@pytest.mark.parametrize(
    ("limits", "error"),
    [
        (AudioLimits(max_seconds=2), MediaTooLong),
        (AudioLimits(max_seconds=60, max_frames=300, fps=Fraction(120)), TooManyFrames),
    ],
)
def test_what_is_too_long_by_its_header_is_not_decoded(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    codec: str,
    suffix: str,
    limits: AudioLimits,
    error: type[LimitExceeded],
) -> None:
    path = _write(tmp_path / f"a.{suffix}", speech_like(3.0, 48000), 48000, codec)
    monkeypatch.setattr("app.media.sound.decode_stream", lambda *_: pytest.fail("decoded"))
    with pytest.raises(error):
        _decode(path, limits)


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("pcm_s16le", "wav"),
        ("flac", "flac"),
        ("libmp3lame", "mp3"),
        ("aac", "m4a"),
        ("aac", "aac"),
        ("libopus", "webm"),
        ("libopus", "ogg"),
    ],
)
def test_sound_is_decoded_as_far_as_it_is_used_and_the_rest_counted(
    tmp_path: Path, codec: str, suffix: str
) -> None:
    path = _write(tmp_path / f"a.{suffix}", speech_like(5.0, 48000), 48000, codec)
    whole = _decode(path)
    sound = _decode(path, AudioLimits(max_seconds=60, used_seconds=Fraction(2)))
    assert whole.left_out == 0
    assert 2 <= sound.duration < 2.3
    assert sound.samples * 2 == Path(sound.track_path).stat().st_size
    assert sound.whole == pytest.approx(whole.duration, abs=0.1)
    with pytest.raises(MediaTooLong):
        _decode(path, AudioLimits(max_seconds=4, used_seconds=Fraction(2)))


@pytest.mark.parametrize(("codec", "suffix"), [("libmp3lame", "mp3"), ("aac", "m4a"), ("libopus", "ogg")])
def test_priming_and_padding_are_no_sound_that_is_left_out(tmp_path: Path, codec: str, suffix: str) -> None:
    path = _write(tmp_path / f"a.{suffix}", speech_like(2.0, 48000), 48000, codec)
    sound = _decode(path, AudioLimits(max_seconds=60, used_seconds=Fraction(2)))
    assert (sound.cut, sound.left_out) == (sound.duration >= 2, 0)


@pytest.mark.parametrize("rate", [24000, 48000])
def test_the_padding_after_the_last_word_in_an_mp4_is_no_sound(tmp_path: Path, rate: int) -> None:
    path = _write(tmp_path / "a.m4a", speech_like(1.5, rate), rate, "aac")
    with av.open(str(path)) as container:
        said = container.streams.audio[0].duration
        assert said is not None
    sound = _decode(path)
    assert sound.samples == said == round(1.5 * rate)
    assert sound.speech_samples == pytest.approx(24000, abs=1)


def test_nobody_counts_what_follows_if_it_is_not_asked_for(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.wav", speech_like(5.0, 48000), 48000, "pcm_s16le")
    sound = _decode(path, AudioLimits(sys.maxsize, used_seconds=Fraction(2), counts_rest=False))
    assert (sound.cut, sound.left_out) == (True, 0)


def test_links_of_a_chain_that_are_not_used_are_counted(tmp_path: Path) -> None:
    link = _write(tmp_path / "link.ogg", speech_like(2.0, 48000), 48000, "libopus").read_bytes()
    path = tmp_path / "a.ogg"
    path.write_bytes(link * 3 + link[:200])
    sound = _decode(path, AudioLimits(max_seconds=60, used_seconds=Fraction(3)))
    assert 3 <= sound.duration < 3.3
    assert sound.whole == pytest.approx(6.0, abs=0.2)


def test_a_header_that_says_too_much_is_not_believed(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.webm", speech_like(1.0, 48000), 48000, "libopus")
    data = path.read_bytes()
    place = data.index(b"\x44\x89\x88") + 3  # the file's: a double, in milliseconds
    data = data[:place] + struct.pack(">d", 3_600_000) + data[place + 8 :]
    path.write_bytes(data.replace(b"00:00:01.", b"01:00:01."))  # the stream's
    with av.open(str(path)) as container:
        assert announced(container, container.streams.audio[0]) == 3600

    assert _decode(path).duration == pytest.approx(1.0, abs=0.1)


def test_the_length_is_limited_while_decoding_too(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.aac", speech_like(3.0, 44100), 44100, "aac")

    with pytest.raises(MediaTooLong):
        _decode(path, AudioLimits(max_seconds=2))


def test_sound_cut_short_behind_its_index_is_refused(tmp_path: Path) -> None:
    whole = _write(tmp_path / "whole.m4a", speech_like(2.0, 44100), 44100, "aac")
    path = tmp_path / "a.m4a"
    with av.open(str(whole)) as source, av.open(str(path), "w", options={"movflags": "faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    path.write_bytes(path.read_bytes()[:-2000])

    with pytest.raises(NotAudio, match="cut short"):
        _decode(path)


def test_a_sound_survives_json(tmp_path: Path) -> None:
    sound = _decode(speech(tmp_path / "a.wav", 0.5))

    assert Sound(**json.loads(json.dumps(dataclasses.asdict(sound)))) == sound


def test_reading_beyond_the_ends_gives_what_there_is(tmp_path: Path) -> None:
    sound = _decode(speech(tmp_path / "a.wav", 0.5, 16000, 2))

    assert sound.read_track(-5, 10).shape == (10, 2)
    assert sound.read_track(sound.samples - 3, sound.samples + 50).shape == (3, 2)
    assert sound.read_track(sound.samples + 5, sound.samples + 50).shape == (0, 2)
    assert sound.read_speech(sound.speech_samples - 3, sound.speech_samples + 9).shape == (3,)
    assert sound.read_speech(-9, -3).shape == (0,)
