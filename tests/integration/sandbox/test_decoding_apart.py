"""Decoders in processes of their own: what they give, what befalls them, and what they cannot reach."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from fractions import Fraction
from itertools import count
from pathlib import Path
from select import select
from subprocess import PIPE, Popen

import numpy as np
import pytest

from app.decoding import server
from app.decoding.apart import DecoderApart
from app.decoding.messages import REQUEST, DecodeSound, ProbeVideo
from app.decoding.process import DecoderDied, DecoderStalled, start_server
from app.decoding.server import FRAMES_NICENESS, LONGEST_LINE, OPENING_CPU_SECONDS
from app.errors import JobCanceled, LimitExceeded, NotAudio, TooManyFrames
from app.media.decoder import Decoder, DecoderHere
from app.media.findings import Findings
from app.media.limits import AudioLimits, VideoLimits
from app.media.probe import VideoInfo
from app.media.treatment import Treatment
from app.progress import Alive
from app.sandbox import protection
from app.settings import Settings
from tests.support import clips

VIDEO = VideoLimits(60, 1 << 22)
AUDIO = AudioLimits(60)
HIJACKED = [sys.executable, "-m", "tests.support.hijacked_decoder"]
INSIDE = ("run a thread", "pair of streams")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    root = tmp_path_factory.mktemp("volumes")
    return Settings(data_dir=root / "data", avatars_dir=root / "avatars", max_job_memory_bytes=256 << 20)


@pytest.fixture
def job(settings: Settings, tmp_path: Path) -> Path:
    folder = settings.data_dir / "jobs" / tmp_path.name
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def apart(settings: Settings) -> Iterator[DecoderApart]:
    """Decoders that all come from one server, as those of a worker do."""
    with start_server() as server:
        decoder = DecoderApart(server, settings)
        decoder.load()
        yield decoder
        server.kill()


@pytest.fixture(scope="module")
def hijacked(settings: Settings) -> Iterator[DecoderApart]:
    """Decoders that do as their file's text says."""
    with Popen(HIJACKED, stdin=PIPE, stdout=PIPE, bufsize=0) as server:
        decoder = DecoderApart(server, settings)
        decoder.load()
        yield decoder
        server.kill()


def ignore() -> None:
    """Hear that the work goes on."""


def sound(decoder: Decoder, audio: Path, alive: Alive = ignore) -> object:
    return decoder.sound(audio, AUDIO, audio.with_name("track"), audio.with_name("speech"), alive)


def video(decoder: Decoder, path: Path, file: Path) -> tuple[VideoInfo, list[bytes], Findings]:
    info = decoder.probe(path, VIDEO, Treatment(), ignore)
    findings = Findings()
    frames = decoder.frames(path, info, VIDEO, file, 1 << 30, findings, ignore)
    return info, [frame.tobytes() for frame in frames], findings


def refused(outcome: dict[str, str]) -> dict[str, str]:
    """Return what was not refused."""
    return {name: how for name, how in outcome.items() if how != "PermissionError"}


def test_a_decoder_apart_gives_what_one_here_gives(apart: DecoderApart, job: Path) -> None:
    clip, words = clips.talking_head(job / "head.mp4", 1.0), clips.speech(job / "words.wav", 1.0)
    assert video(apart, clip, job / "a") == video(DecoderHere(), clip, job / "b")
    assert np.array_equal(np.fromfile(job / "a"), np.fromfile(job / "b"))
    assert sound(apart, words) == sound(DecoderHere(), words)


def test_a_decoder_of_frames_stands_back_behind_whoever_takes_them(
    hijacked: DecoderApart, apart: DecoderApart, job: Path
) -> None:
    info = apart.probe(clips.talking_head(job / "head.mp4", 0.2), VIDEO, Treatment(), ignore)
    (job / "upload").write_text("tell the niceness")
    own = os.getpriority(os.PRIO_PROCESS, 0)
    with pytest.raises(RuntimeError, match=f"^{own}$"):
        hijacked.probe(job / "upload", VIDEO, Treatment(), ignore)
    with pytest.raises(RuntimeError, match=f"^{own + FRAMES_NICENESS}$"):
        list(hijacked.frames(job / "upload", info, VIDEO, job / "file", 1 << 30, Findings(), ignore))


def test_what_decodes_frames_is_loaded_once_and_not_by_each_decoder(
    hijacked: DecoderApart, job: Path
) -> None:
    (job / "upload").write_text("tell what is loaded\napp.media.video")
    with pytest.raises(RuntimeError, match=r"^app\.media\.video$"):
        hijacked.probe(job / "upload", VIDEO, Treatment(), ignore)


def test_a_decoder_that_nobody_hears_out_is_stopped_by_the_next(apart: DecoderApart, job: Path) -> None:
    clip = clips.talking_head(job / "head.mp4", 4.0)
    info = apart.probe(clip, VIDEO, Treatment(), ignore)
    frames = apart.frames(clip, info, VIDEO, job / "file", 1 << 30, Findings(), ignore)
    next(frames)  # and then an error ends whoever took them, and is kept with what it was in
    assert apart.probe(clip, VIDEO, Treatment(), ignore) == info
    del frames
    assert apart.probe(clip, VIDEO, Treatment(), ignore) == info


def test_who_takes_frames_hears_at_each_that_the_work_goes_on(apart: DecoderApart, job: Path) -> None:
    clip = clips.talking_head(job / "head.mp4", 4.0)
    info = apart.probe(clip, VIDEO, Treatment(), ignore)
    heard: list[None] = []

    def cancel() -> None:
        raise JobCanceled("canceled")

    def frames(alive: Alive) -> Iterator[object]:
        return apart.frames(clip, info, VIDEO, job / "file", 1 << 30, Findings(), alive)

    assert len(list(frames(lambda: heard.append(None)))) == info.frame_count == 100
    assert len(heard) >= 100
    with pytest.raises(JobCanceled):
        list(frames(cancel))
    assert apart.probe(clip, VIDEO, Treatment(), ignore) == info


def test_refusals_and_errors_of_the_system_come_through(apart: DecoderApart, job: Path) -> None:
    (job / "upload").write_text("no sound")
    with pytest.raises(NotAudio, match="Send a sound file"):
        sound(apart, job / "upload")
    with pytest.raises(FileNotFoundError) as missing:
        sound(apart, job / "gone")
    assert missing.value.filename == str(job / "gone")
    (job / "speech").mkdir()
    with pytest.raises(IsADirectoryError) as odd:
        sound(apart, clips.speech(job / "words.wav", 0.2))
    assert odd.value.filename == str(job / "speech")
    clip = clips.talking_head(job / "head.mp4", 1.0)
    info = apart.probe(clip, VIDEO, Treatment(), ignore)
    with pytest.raises(TooManyFrames):
        list(apart.frames(clip, info, VIDEO, job / "file", 1 << 18, Findings(), ignore))
    assert (job / "file").stat().st_size <= 1 << 18


def test_a_decoder_that_is_not_needed_any_more_is_ended_and_the_next_begins(
    apart: DecoderApart, job: Path
) -> None:
    clip = clips.talking_head(job / "head.mp4", 2.0)
    info = apart.probe(clip, VIDEO, Treatment(), ignore)
    frames = apart.frames(clip, info, VIDEO, job / "file", 1 << 30, Findings(), ignore)
    next(frames)
    frames.close()  # type: ignore[attr-defined]
    assert len(video(apart, clip, job / "file")[1]) == 50


@pytest.mark.parametrize(
    ("deed", "how"),
    [
        ("crash", "was ended by SIGSEGV"),
        ("nothing", "ended with status 0"),
        ("hoard", "ended with status 1"),
        ("let go", "was ended by SIGKILL"),
        ("say\n" + "x" * 2 * LONGEST_LINE, "was ended by SIGKILL"),
        ('say\n{"answer": {"sample_rate": "much"}}', "cannot be read"),
        ("say\nnonsense", "cannot be read"),
        ("say\n[1, 2]", "cannot be read"),
        ("say\n" + "[" * 100_000, "cannot be read"),
        ('say\n{"failed": {"type": "x"}}', "cannot be read"),
        ("say\n=0", "cannot be read"),
    ],
)
def test_the_death_and_the_nonsense_of_a_decoder_are_told_apart_from_refusals(
    hijacked: DecoderApart, job: Path, deed: str, how: str
) -> None:
    (job / "upload").write_text(deed)
    for _ in range(2):  # the one after it is a new one
        with pytest.raises(DecoderDied, match=how):
            sound(hijacked, job / "upload")


@pytest.mark.parametrize("deed", ["hang", "let go", "babble"])
def test_nothing_stays_behind_a_worker_that_is_killed(settings: Settings, job: Path, deed: str) -> None:
    (job / "upload").write_text(deed)
    with Popen(HIJACKED, stdin=PIPE, stdout=PIPE, stderr=PIPE, bufsize=0) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        decoder = DecoderApart(server, settings)
        decoder.load()
        request = DecodeSound(job / "upload", AUDIO, job / "track", job / "speech")
        server.stdin.write(REQUEST.dump_json(request) + b"\n")
        if deed != "hang":
            select([server.stdout], [], [], 10)  # until it says something, or has let go long ago
        server.stdout.close()
        server.stdin.close()
        server.stdin = server.stdout = None
        try:
            _, said = server.communicate(timeout=120)  # until the decoder, too, has closed it
        finally:
            server.kill()
    assert (server.returncode, said) == (0, b"")


def test_a_decoder_that_hangs_is_ended_when_the_job_is_canceled(hijacked: DecoderApart, job: Path) -> None:
    (job / "upload").write_text("hang")
    heard: list[None] = []

    def alive() -> None:
        heard.append(None)
        if len(heard) > 3:
            raise JobCanceled("canceled")

    with pytest.raises(JobCanceled):
        sound(hijacked, job / "upload", alive)
    (job / "upload").write_text("crash")
    with pytest.raises(DecoderDied):
        sound(hijacked, job / "upload")


def test_a_decoder_that_sleeps_is_ended_and_the_next_begins(
    hijacked: DecoderApart, settings: Settings, job: Path
) -> None:
    for deed in ("crash", "hang", "crash"):  # the first waits until all is loaded
        impatient = DecoderApart(hijacked._server, settings.model_copy(update={"stall_seconds": 2.0}))
        (job / "upload").write_text(deed)
        with pytest.raises(DecoderStalled if deed == "hang" else DecoderDied) as died:
            sound(impatient if deed == "hang" else hijacked, job / "upload")
        assert str(died.value) == ("stalled and was stopped" if deed == "hang" else "was ended by SIGSEGV")


def test_a_decoder_that_stood_still_with_its_worker_has_not_stalled(
    hijacked: DecoderApart, settings: Settings, job: Path
) -> None:
    impatient = DecoderApart(hijacked._server, settings.model_copy(update={"stall_seconds": 2.0}))
    os.mkfifo(job / "upload")
    looks = count()

    def alive() -> None:
        if (look := next(looks)) == 2:
            time.sleep(3.0)  # as if all processes stood still
        elif look == 4:  # by the clock it would have stalled: now it may take as long as it likes
            impatient._settings = settings
            (job / "upload").write_text("crash")

    (job / "first").write_text("crash")  # this one waits until all is loaded
    with pytest.raises(DecoderDied):
        sound(hijacked, job / "first")
    with pytest.raises(DecoderDied, match="SIGSEGV"):
        sound(impatient, job / "upload", alive)


def test_a_decoder_tells_that_it_is_at_work(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[dict[str, object]] = []
    monkeypatch.setattr(server, "say", said.append)
    monkeypatch.setattr(server, "ALIVE_SECONDS", 0.0)
    words = clips.speech(job / "words.wav", 4.0)
    recording = clips.write_video(
        job / "a.ts", [clips.moving_portrait(index, 64, 48) for index in range(40)], codec="mpeg2video"
    )
    cut = AudioLimits(60, used_seconds=Fraction(1))
    for request, least in (
        (DecodeSound(words, AUDIO, job / "track", job / "speech"), 60),
        (DecodeSound(words, cut, job / "track", job / "speech"), 60),  # what follows is counted
        (ProbeVideo(recording, VideoLimits(1, 1 << 22), Treatment()), 40),
    ):
        said.clear()
        server.answer(request)
        *alive, last = said
        assert "alive" not in last
        assert alive.count({"alive": True}) >= least


WORKER = """
import sys
from pathlib import Path
from signal import SIGKILL, SIGSTOP
from app.decoding.apart import DecoderApart
from app.decoding.process import start_server
from app.media.limits import AudioLimits
from app.settings import Settings
job, when = Path(sys.argv[1]), sys.argv[2]
server = start_server()
print(server.pid, flush=True)
folder = job.parents[1]
decoder = DecoderApart(server, Settings(data_dir=folder, avatars_dir=folder, stall_seconds=0.5))
decoder.load()
alive = lambda: server.send_signal(SIGSTOP if when == "stuck" else SIGKILL)
if when == "early":
    server.kill()
    server.wait()
decoder.sound(job / "upload", AudioLimits(60), job / "track", job / "speech", alive)
"""


@pytest.mark.parametrize("when", ["late", "early", "stuck"])
def test_a_worker_that_can_start_no_decoder_any_more_ends(job: Path, when: str) -> None:
    os.mkfifo(job / "upload")  # a decoder waits for it for ever
    command = [sys.executable, "-c", WORKER, str(job), when]
    with Popen(command, stdout=PIPE, stderr=PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stderr is not None
        decoding = int(worker.stdout.readline())
        worker.wait()
        with suppress(ProcessLookupError):
            os.kill(decoding, signal.SIGKILL)
        # Not communicate(): that loses what was read together with the first line.
        said = worker.stdout.read() + worker.stderr.read()
    assert (worker.returncode, "decoding_server_gone" in said) == (1, True), said
    assert "Traceback" not in said


def test_frames_that_are_not_there_are_not_believed(
    hijacked: DecoderApart, apart: DecoderApart, job: Path
) -> None:
    info = apart.probe(clips.talking_head(job / "head.mp4", 0.2), VIDEO, Treatment(), ignore)
    (job / "upload").write_text('say\n{"frames": 3}')
    with pytest.raises(DecoderDied, match="do not exist"):
        list(hijacked.frames(job / "upload", info, VIDEO, job / "file", 1 << 30, Findings(), ignore))


@pytest.mark.parametrize("number", ['"many"', "1e400", "[1]"])
def test_a_number_of_frames_that_is_none_is_not_understood(
    hijacked: DecoderApart, apart: DecoderApart, job: Path, number: str
) -> None:
    info = apart.probe(clips.talking_head(job / "head.mp4", 0.2), VIDEO, Treatment(), ignore)
    (job / "upload").write_text(f'say\n{{"frames": {number}}}')
    with pytest.raises(DecoderDied, match="cannot be read"):
        list(hijacked.frames(job / "upload", info, VIDEO, job / "file", 1 << 30, Findings(), ignore))


@pytest.mark.parametrize(
    "lie",
    [
        {"track_path": "/etc/passwd"},
        {"speech_path": "speech"},
        {"samples": 10**12},
        {"duration": 1e9},
        {"left_out": float("inf")},
        {"left_out": -1.0},
    ],
)
def test_a_decoder_cannot_have_the_worker_read_what_it_did_not_make(
    hijacked: DecoderApart, apart: DecoderApart, job: Path, lie: dict[str, object]
) -> None:
    words = clips.speech(job / "words.wav", 0.1)
    true = apart.sound(words, AUDIO, job / "track", job / "speech", ignore)
    answer = {"answer": asdict(true)}
    (job / "upload").write_text(f"say\n{json.dumps(answer)}")
    assert sound(hijacked, job / "upload") == true
    answer = {"answer": asdict(true) | lie}
    (job / "upload").write_text(f"say\n{json.dumps(answer)}")
    with pytest.raises(DecoderDied, match="did not make"):
        sound(hijacked, job / "upload")


def test_a_decoder_that_takes_too_long_is_ended_and_its_file_refused(
    hijacked: DecoderApart, job: Path
) -> None:
    (job / "upload").write_text("toil")
    short = AudioLimits(-5 * (OPENING_CPU_SECONDS - 1))  # a second in all
    with pytest.raises(LimitExceeded, match="takes too long"):
        hijacked.sound(job / "upload", short, job / "track", job / "speech", ignore)


@pytest.mark.skipif(bool(protection().missing), reason="the kernel lacks a part of the sandbox")
@pytest.mark.parametrize("deed", ["try", "write"])
def test_a_decoder_reaches_nothing_but_its_file_and_what_it_makes(
    hijacked: DecoderApart, apart: DecoderApart, settings: Settings, job: Path, deed: str
) -> None:
    upload, others = job / "upload", settings.data_dir / "jobs" / "other"
    outside = [
        settings.avatars_dir / "anna" / "source.mp4",
        others / "upload",
        others / "result.mp4",
        settings.data_dir / "jobs.sqlite3",
        settings.data_dir.parent / ".env",
    ]
    for path in outside:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("secret")
    upload.write_text("\n".join([deed, *map(str, outside)]))
    making = settings.avatars_dir / f".new-{deed}-1"
    making.mkdir()

    info = apart.probe(clips.talking_head(job / "head.mp4", 0.2), VIDEO, Treatment(), ignore)
    frames = hijacked.frames(upload, info, VIDEO, making / "frames", 1 << 30, Findings(), ignore)
    with pytest.raises(RuntimeError) as told:
        next(frames) if deed == "write" else sound(hijacked, upload)
    outcome = json.loads(str(told.value))

    assert {name: outcome.pop(name) for name in INSIDE} == dict.fromkeys(INSIDE, "done")
    own = ("work inside", "rename inside") if deed == "try" else (f"read {upload.name}",)
    assert refused(outcome).keys() - {"rename inside"} == {*own} - {"rename inside"}
    assert all(path.read_text() == "secret" for path in outside)
    assert (making / "frames").read_bytes() == b"x" if deed == "write" else not any(making.iterdir())
