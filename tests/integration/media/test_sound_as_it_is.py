"""Sound as people send it: with holes, late, in links, out of phase, with sizes that nobody filled in."""

import struct
from pathlib import Path

import av
import numpy as np
import pytest

from app.errors import MediaTooLong, NoSound
from app.media.limits import AudioLimits
from app.media.probe import pictures_begin, probe_audio
from app.media.sound import SPEECH_RATE, Sound, decode_sound
from app.notices import NoticeCode
from tests.support.clips import moving_portrait, speech, speech_like, talking_head, write_video
from tests.support.sounds import add_sound, cut_within_a_group, write_sound

LIMITS = AudioLimits(max_seconds=60)
RATE = 48000


def _decode(path: Path, limits: AudioLimits = LIMITS) -> Sound:
    return decode_sound(path, limits, path.with_suffix(".track"), path.with_suffix(".speech"))


def _codes(sound: Sound) -> list[str]:
    return [notice["code"] for notice in sound.notices]


def _power(sound: Sound, start: float, stop: float) -> float:
    return float(sound.read_speech(round(start * SPEECH_RATE), round(stop * SPEECH_RATE)).var())


@pytest.mark.parametrize(("codec", "suffix"), [("libopus", "webm"), ("libopus", "mkv"), ("pcm_s16le", "mkv")])
def test_where_the_clock_jumps_there_is_silence(tmp_path: Path, codec: str, suffix: str) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 300 * np.arange(3 * RATE) / RATE)[None].astype(np.float32)
    whole = write_sound(tmp_path / f"whole.{suffix}", tone, RATE, codec)
    holed = write_sound(tmp_path / f"a.{suffix}", tone, RATE, codec, lost=lambda time: 1 <= time < 2)

    sound = _decode(holed)

    assert sound.duration == pytest.approx(_decode(whole).duration, abs=0.002)
    assert _power(sound, 1.1, 1.9) < 1e-8
    assert _power(sound, 0.1, 0.9) > 0.03
    assert _power(sound, 2.1, 2.9) > 0.03
    assert _codes(sound) == [NoticeCode.GAPS_IN_SOUND]
    assert sound.notices[0]["seconds"] == pytest.approx(1.0, abs=0.05)


def test_many_short_holes_do_not_shorten_the_sound(tmp_path: Path) -> None:
    tone = speech_like(4.0, RATE)[None]
    lost = write_sound(
        tmp_path / "a.webm", tone, RATE, "libopus", lost=lambda time: round(time * 50) % 5 == 3
    )

    assert _decode(lost).duration == pytest.approx(4.0, abs=0.03)


@pytest.mark.parametrize(
    ("codec", "suffix", "rate"),
    [("libmp3lame", "mp3", 44100), ("aac", "mkv", 48000)],
)
def test_a_clock_that_only_trembles_has_no_holes(tmp_path: Path, codec: str, suffix: str, rate: int) -> None:
    sound = _decode(
        write_sound(
            tmp_path / f"a.{suffix}", speech_like(4.0, rate)[None].repeat(2, 0), rate, codec, "stereo"
        )
    )

    assert NoticeCode.GAPS_IN_SOUND not in _codes(sound)
    assert sound.duration == pytest.approx(4.0, abs=0.06)


def test_a_hole_longer_than_the_limit_is_refused_before_it_is_filled(tmp_path: Path) -> None:
    tone = speech_like(4.0, RATE)[None]
    holed = write_sound(tmp_path / "a.mkv", tone, RATE, "pcm_s16le", lost=lambda time: 1 <= time < 3)

    with pytest.raises(MediaTooLong):
        _decode(holed, AudioLimits(max_seconds=2.5))


def test_the_sound_of_a_video_begins_with_the_pictures(tmp_path: Path) -> None:
    video = talking_head(tmp_path / "silent.mp4", 1, width=64, height=48)
    path = add_sound(video, tmp_path / "a.mkv", speech_like(1.0)[None], 16000, start=0.75)

    sound = _decode(path)

    assert sound.duration == pytest.approx(1.75, abs=0.002)
    assert not sound.read_track(0, 11900).any()
    np.testing.assert_allclose(sound.read_speech(12000, 28000), speech_like(1.0), atol=2e-3)
    assert _codes(sound) == [NoticeCode.LATE_SOUND]


def test_sound_before_the_pictures_of_a_video_is_not_heard(tmp_path: Path) -> None:
    video = talking_head(tmp_path / "silent.mp4", 1, width=64, height=48)
    path = add_sound(video, tmp_path / "a.mkv", speech_like(2.0)[None], 16000, start=-0.75)

    sound = _decode(path)

    assert sound.duration == pytest.approx(1.25, abs=0.002)
    np.testing.assert_allclose(sound.read_speech(0, 20000), speech_like(2.0)[12000:], atol=2e-3)
    assert _codes(sound) == [NoticeCode.EARLY_SOUND]
    assert sound.notices[0]["seconds"] == pytest.approx(0.75, abs=0.002)


def test_sound_that_ends_before_the_pictures_is_not_called_empty(tmp_path: Path) -> None:
    video = talking_head(tmp_path / "silent.mp4", 1, width=64, height=48)
    path = add_sound(video, tmp_path / "a.mkv", speech_like(1.0)[None], 16000, start=-1.5)

    with pytest.raises(NoSound, match="ends before the video's first picture"):
        _decode(path)


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
@pytest.mark.parametrize("begin", [1.32, 1.36])
def test_pictures_that_a_trim_has_hidden_do_not_delay_the_sound(
    tmp_path: Path, suffix: str, begin: float
) -> None:
    """The pictures are written in another order than that in which they are shown."""
    options = {"bf": "2", "x264-params": "b-adapt=0:keyint=100:scenecut=0"}
    pictures = [moving_portrait(index, 64, 48) for index in range(75)]
    video = write_video(tmp_path / "silent.mp4", pictures, options=options)
    whole = add_sound(video, tmp_path / "whole.mov", speech_like(3.0)[None], 16000, start=0)
    path = cut_within_a_group(whole, tmp_path / f"a.{suffix}", begin)
    with av.open(str(path)) as container:
        assert next(container.demux(video=0)).is_discard
    assert pictures_begin(path) == 0

    sound = _decode(path)

    assert sound.duration == pytest.approx(3.0 - begin, abs=0.1)
    assert sound.notices == []


@pytest.mark.parametrize("suffix", ["ts", "mkv"])
def test_pictures_that_need_a_lost_one_are_not_the_first(tmp_path: Path, suffix: str) -> None:
    """The first two pictures that are shown before a keyframe need the group before it."""
    options = {"bf": "2", "g": "15"}
    pictures = [moving_portrait(index, 64, 48) for index in range(50)]
    whole = write_video(tmp_path / "whole.ts", pictures, codec="mpeg2video", options=options)
    with av.open(str(whole)) as source, av.open(str(path := tmp_path / f"a.{suffix}"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        keyframes = 0
        for packet in source.demux(video=0):
            keyframes += packet.is_keyframe
            if keyframes > 1 and packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    with av.open(str(path)) as container:
        assert pictures_begin(path) == pytest.approx(next(container.decode(video=0)).time)


@pytest.mark.parametrize("codec", ["libopus", "flac"])
def test_all_links_of_a_chained_ogg_are_heard_whatever_their_channels(tmp_path: Path, codec: str) -> None:
    mono = write_sound(tmp_path / "1.ogg", speech_like(1.0, RATE)[None], RATE, codec)
    stereo = speech_like(1.5, RATE)[None].repeat(2, 0)
    other = write_sound(tmp_path / "2.ogg", stereo, RATE, codec, "stereo")
    path = tmp_path / "a.ogg"
    path.write_bytes(mono.read_bytes() + other.read_bytes() + mono.read_bytes())

    sound = _decode(path)

    assert sound.duration == pytest.approx(3.5, abs=0.04)
    assert sound.layout == "mono"
    assert _power(sound, 2.6, 3.4) > 1e-3
    assert NoticeCode.GAPS_IN_SOUND not in _codes(sound)


def test_a_damaged_link_costs_only_itself(tmp_path: Path) -> None:
    link = write_sound(tmp_path / "1.ogg", speech_like(1.0, RATE)[None], RATE, "libopus").read_bytes()
    path = tmp_path / "a.ogg"
    path.write_bytes(link + link.replace(b"OpusHead", b"NopeHead") + link)

    assert _decode(path).duration == pytest.approx(2.0, abs=0.03)


@pytest.mark.parametrize("data_size", [0, 0xFFFFFFFF, 0x7FFFF000])
@pytest.mark.parametrize("riff_size", [0, 0xFFFFFFFF])
def test_a_wav_written_to_a_pipe_has_its_own_length(tmp_path: Path, riff_size: int, data_size: int) -> None:
    path = speech(tmp_path / "a.wav", 1.5)
    whole = bytearray(path.read_bytes())
    at = whole.index(b"data")
    whole[4:8], whole[at + 4 : at + 8] = struct.pack("<I", riff_size), struct.pack("<I", data_size)
    path.write_bytes(whole)

    assert probe_audio(path, LIMITS).duration == pytest.approx(1.5)
    assert _decode(path).duration == 1.5


@pytest.mark.parametrize("layout", ["stereo", "5.1"])
def test_channels_out_of_phase_speak_and_are_heard_as_they_came(tmp_path: Path, layout: str) -> None:
    voice = 0.5 * speech_like(3.0, 16000)
    silent = np.zeros_like(voice)
    channels = [voice, -voice] if layout == "stereo" else [voice, -voice, silent, silent, silent, silent]
    path = write_sound(tmp_path / "a.wav", np.stack(channels), 16000, "pcm_s16le", layout)

    sound = _decode(path)

    np.testing.assert_allclose(sound.read_speech(0, sound.speech_samples), voice, atol=1e-3)
    track = sound.read_track(0, sound.samples)
    np.testing.assert_array_equal(track[:, 0], -track[:, 1])
    assert sound.notices[0]["code"] == NoticeCode.OUT_OF_PHASE_SOUND
    assert sound.notices[0]["seconds"] == pytest.approx(2.0, abs=1.0)


@pytest.mark.parametrize("gains", [(1.0, 1.0), (1.0, 0.0), (0.2, 1.0), (1.0, -0.4)])
def test_channels_in_phase_are_mixed(tmp_path: Path, gains: tuple[float, float]) -> None:
    voice = 0.5 * speech_like(2.0, 16000)
    path = write_sound(tmp_path / "a.wav", np.outer(gains, voice), 16000, "pcm_s16le", "stereo")

    sound = _decode(path)

    np.testing.assert_allclose(sound.read_speech(0, sound.speech_samples), sum(gains) / 2 * voice, atol=1e-3)
    assert sound.notices == []


def test_quiet_and_clipped_sound_is_said_and_kept(tmp_path: Path) -> None:
    voice = speech_like(3.0, 16000)[None]
    quiet = _decode(write_sound(tmp_path / "quiet.wav", 0.005 * voice, 16000, "pcm_s16le"))
    loud = _decode(write_sound(tmp_path / "loud.wav", np.clip(16 * voice, -1, 1), 16000, "pcm_s16le"))
    silent = _decode(write_sound(tmp_path / "silent.wav", 0 * voice, 16000, "pcm_s16le"))
    good = _decode(write_sound(tmp_path / "good.wav", voice, 16000, "pcm_s16le"))

    assert _codes(quiet) == [NoticeCode.QUIET_SOUND]
    assert _codes(loud) == [NoticeCode.CLIPPED_SOUND]
    assert loud.notices[0]["seconds"] == pytest.approx(2.0, abs=1.0)
    assert _codes(silent) == [NoticeCode.QUIET_SOUND]
    assert "silent" in silent.notices[0]["detail"]
    assert good.notices == []
    assert np.abs(quiet.read_track(0, quiet.samples)).max() < 200
