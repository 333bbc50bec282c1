"""Small files that ask for gigabytes: what they ask for is never allocated."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from app.errors import NotAudio, TooMuchMemory
from app.media.boxes import has_sane_index
from app.media.containers import open_media
from app.media.limits import AudioLimits
from app.media.probe import probe_audio
from app.media.sound import decode_sound
from tests.support import bombs, clips

LIMITS = AudioLimits(max_seconds=3600)
DECODE = """
import sys
from pathlib import Path
from app.errors import MouthpieceError
from app.media.limits import AudioLimits
from app.media.sound import decode_sound
from app.sandbox import cap_memory
from tests.support.memory import peak_mib

if sys.argv[3:]:
    cap_memory(4 << 30)
before, folder = peak_mib(), Path(sys.argv[2])
try:
    decode_sound(Path(sys.argv[1]), AudioLimits(36000), folder / "track", folder / "speech")
    print("decoded", peak_mib() - before)
except MouthpieceError as error:
    print(error.code, peak_mib() - before)
"""


def decode(path: Path, *, cap: bool = False) -> tuple[str, int]:
    """Decode a sound in a process of its own; return how that ended, and the megabytes that it took."""
    arguments = (str(path), str(path.parent), *["cap"] * cap)
    done = subprocess.run([sys.executable, "-c", DECODE, *arguments], stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0
    code, megabytes = done.stdout.split()
    return code, int(megabytes)


@pytest.mark.parametrize("make", bombs.SOUNDS)
def test_a_small_file_takes_little_memory(make: Callable[[Path], Path], tmp_path: Path) -> None:
    code, megabytes = decode(make(tmp_path))
    assert code == ("decoded" if make is bombs.large_cover else "not-audio")
    assert megabytes < 64


@pytest.mark.parametrize("how", bombs.HIDDEN)
def test_a_claim_is_found_wherever_ffmpeg_finds_it(how: str, tmp_path: Path) -> None:
    assert not has_sane_index(bombs.hidden_index(tmp_path, how))


def test_a_large_cover_is_no_claim(tmp_path: Path) -> None:
    song = bombs.song(tmp_path)
    with av.open(str(song)) as container:
        assert [stream.codec_context.name for stream in container.streams] == ["aac", "mjpeg"]
    assert probe_audio(song, LIMITS).sample_rate == 16000
    assert decode_sound(song, LIMITS, tmp_path / "track", tmp_path / "speech").sample_rate == 16000


def test_notes_are_searched_at_once(tmp_path: Path) -> None:
    path, before = bombs.slow_notes(tmp_path), time.process_time()
    assert has_sane_index(path)
    assert time.process_time() - before < 1


@pytest.mark.parametrize("make", [bombs.slow_flac, bombs.endless_index, bombs.long_alac])
def test_a_bomb_is_refused_by_its_header(make: Callable[[Path], Path], tmp_path: Path) -> None:
    with pytest.raises(NotAudio):
        probe_audio(make(tmp_path), LIMITS)


def test_what_a_file_says_of_itself_takes_little_memory_of_a_capped_process(tmp_path: Path) -> None:
    code, megabytes = decode(bombs.endless_note(tmp_path), cap=True)
    assert code in ("not-audio", "too-much-memory")
    assert megabytes < 256


def test_a_small_picture_takes_little_memory_of_a_capped_process(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom app.errors import NotAVideo, TooMuchMemory\n"
        "from app.media.limits import VideoLimits\nfrom app.media.probe import probe_video\n"
        "from app.sandbox import cap_memory\nfrom tests.support.memory import peak_mib\n"
        "cap_memory(4 << 30)\n"
        "try:\n    probe_video(Path(sys.argv[1]), VideoLimits(10, 1 << 24))\n"
        "except (NotAVideo, TooMuchMemory):\n    pass\n"
        "print(peak_mib())\n"
    )
    path = bombs.long_text(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True, check=True
    )
    assert int(done.stdout) < 1000


def test_sound_of_a_camera_in_pcm_is_no_bomb(tmp_path: Path) -> None:
    path = tmp_path / "camera.mov"
    bombs._sound(path, "pcm_s16le", 48000)
    assert decode_sound(path, LIMITS, tmp_path / "track", tmp_path / "speech").sample_rate == 48000


def test_a_video_that_wants_more_memory_than_a_job_may_have_is_refused(tmp_path: Path) -> None:
    path = clips.talking_head(tmp_path / "large.mp4", 0.2, width=2048, height=2048)
    script = (
        "import sys\nfrom pathlib import Path\nfrom app.errors import NotAVideo, TooMuchMemory\n"
        "from app.media.limits import VideoLimits\nfrom app.media.probe import probe_video\n"
        "from app.sandbox import cap_memory\nfrom tests.support.memory import peak_mib\n"
        "cap_memory(4 << 20)\n"
        "try:\n    probe_video(Path(sys.argv[1]), VideoLimits(10, 1 << 24))\n"
        "except (NotAVideo, TooMuchMemory):\n    print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout == "refused\n"


def test_want_of_memory_is_no_fault_of_the_service(tmp_path: Path) -> None:
    path = clips.speech(tmp_path / "speech.wav", 0.1)
    with pytest.raises(TooMuchMemory), open_media(path, NotAudio):
        bytearray(1 << 62)
