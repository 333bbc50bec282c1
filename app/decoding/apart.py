"""The decoder of a worker: each file is decoded in a process of its own, which sees nothing but that file.

With footage comes the picture that is laid behind it, if its caller sent one.
"""

import json
import os
import select
import signal
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from math import inf
from pathlib import Path
from subprocess import Popen
from typing import Any, Final, NoReturn, TypeVar

import numpy as np
import structlog
from pydantic import TypeAdapter, ValidationError

from app.decoding.messages import (
    FINDINGS,
    REQUEST,
    SOUND,
    VIDEO_INFO,
    DecodeFrames,
    DecodeSound,
    ProbeVideo,
    Request,
)
from app.decoding.process import DecoderDied, DecoderStalled, how_it_ended
from app.decoding.server import LONGEST_LINE, STOP
from app.errors import AvatarDamaged, LimitExceeded, from_problem
from app.media.findings import Findings
from app.media.frame_file import FrameReader
from app.media.frames import I420Frame
from app.media.limits import AudioLimits, VideoLimits, check_pixels, check_sound
from app.media.probe import VideoInfo
from app.media.sound import SPEECH_BYTES, TRACK_BYTES, Sound
from app.media.treatment import Treatment
from app.progress import Alive, nothing
from app.sandbox import Sandbox
from app.settings import Settings

log = structlog.stdlib.get_logger(__name__)

_ALIVE_SECONDS: Final = 0.05
"""How often whoever waits for a decoder tells that it is alive."""

_AnswerT = TypeVar("_AnswerT")
_Message = Mapping[str, Any]


class DecoderApart:
    """See :class:`app.media.decoder.Decoder`; one file at a time."""

    def __init__(self, server: "Popen[bytes]", settings: Settings) -> None:
        """``server`` is what :func:`app.decoding.process.start_server` started; :meth:`load` comes first."""
        self._server = server
        self._settings = settings
        self._said: list[bytes] = []
        self._rest = b""
        self._talk: Generator[_Message, None, None] | None = None

    def load(self) -> None:
        """Have the server load what decoders need, without waiting for it."""
        sandbox = Sandbox.of(self._settings)
        common = {
            "read": [str(path) for path in sandbox.read],
            "write": [str(path) for path in sandbox.write],
            "max_memory_bytes": self._settings.max_job_memory_bytes,
        }
        self._send(json.dumps(common).encode() + b"\n")

    def probe(self, video: Path, limits: VideoLimits, treatment: Treatment, alive: Alive) -> VideoInfo:
        """See :class:`app.media.decoder.Decoder`."""
        request = ProbeVideo(video, limits, treatment)
        info = _only(VIDEO_INFO, self._ask(request, alive))
        check_pixels(info.layout.width, info.layout.height, limits)
        return info

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
        """See :class:`app.media.decoder.Decoder`."""
        file.touch()
        given = 0
        request = DecodeFrames(video, info, limits, file, most_bytes, backdrop)
        frame = np.empty(info.frame_bytes, np.uint8)
        with FrameReader(file, info.frame_bytes) as reader, closing(self._ask(request, alive)) as messages:
            for message in messages:
                for index in range(given, _count(message, given)):
                    try:
                        reader.read_into(index, frame)
                    except AvatarDamaged:
                        raise DecoderDied("reported frames that do not exist") from None
                    alive()  # it is not called by who waits for a decoder that is never waited for
                    yield frame
                    given = index + 1
                if "answer" in message:
                    vars(findings).update(vars(_checked(FINDINGS, message["answer"])))

    def sound(self, audio: Path, limits: AudioLimits, track: Path, speech: Path, alive: Alive) -> Sound:
        """See :class:`app.media.decoder.Decoder`."""
        sound = _only(SOUND, self._ask(DecodeSound(audio, limits, track, speech), alive))
        check_sound(sound.sample_rate, sound.channels)
        if not _is_there(sound, track, speech):
            raise DecoderDied("described files that it did not make")
        return sound

    def _ask(self, request: Request, alive: Alive) -> Generator[_Message, None, None]:
        """Return what a decoder says; an earlier one that nobody has heard out is stopped."""
        if self._talk is not None:
            self._talk.close()
        self._talk = self._heard(request, alive)
        return self._talk

    def _heard(self, request: Request, alive: Alive) -> Generator[_Message, None, None]:
        """Yield what a decoder says, until it has ended well; ended early, the decoder is stopped."""
        self._send(REQUEST.dump_json(request) + b"\n")
        line, ended, answered = b"", False, False
        try:
            while True:
                line = self._next_line(alive)
                if line.startswith(b"="):
                    ended = True
                    break
                message = _understood(line)
                answered |= "answer" in message
                yield message
        finally:
            if not ended:
                self._send(STOP)
                try:
                    while not line.startswith(b"="):
                        line = self._next_line(nothing)
                except DecoderStalled:
                    _start_over()
        status = int(line[1:])
        if status == -signal.SIGXCPU:
            raise LimitExceeded("Decoding the file takes too long; send it in another format.")
        if not answered:
            raise DecoderDied(how_it_ended(status))

    def _next_line(self, alive: Alive) -> bytes:
        """Wait for a line, and tell meanwhile that this worker is alive. Raises DecoderStalled."""
        assert self._server.stdout is not None
        # Not by the clock: what stood still with this process, as by docker pause, was not silent.
        silent = 0.0
        while not self._said:
            ready, _, _ = select.select([self._server.stdout], [], [], _ALIVE_SECONDS)
            if not ready:
                silent += _ALIVE_SECONDS
                if silent > self._settings.stall_seconds:
                    raise DecoderStalled("stalled and was stopped")
                alive()
                continue
            data = self._server.stdout.read(LONGEST_LINE)
            if not data:
                _start_over()
            *self._said, self._rest = (self._rest + data).split(b"\n")
            self._said.reverse()
        return self._said.pop()

    def _send(self, line: bytes) -> None:
        assert self._server.stdin is not None
        try:
            self._server.stdin.write(line)
        except BrokenPipeError:
            _start_over()


def _start_over() -> NoReturn:
    """End this worker, which is started again: its server is gone, or hangs, and starts no decoders."""
    log.error("decoding_server_gone")
    os._exit(1)


def _count(message: _Message, given: int) -> int:
    """Return how many frames are there by a message; as many as were ``given`` if it does not say."""
    count = message.get("frames", given)
    if not isinstance(count, int):
        raise DecoderDied("sent a message that cannot be read")
    return count


def _only(kind: TypeAdapter[_AnswerT], messages: Iterator[_Message]) -> _AnswerT:
    """Return the one answer to a request."""
    (answer,) = [message["answer"] for message in messages if "answer" in message]
    return _checked(kind, answer)


def _is_there(sound: Sound, track: Path, speech: Path) -> bool:
    """Whether a sound is in the two files where it was to be made, and in no other, as long as it says."""
    if (sound.track_path, sound.speech_path) != (str(track), str(speech)):
        return False
    if sound.duration != sound.samples / sound.sample_rate or not 0 <= sound.left_out < inf:
        return False
    sizes = (sound.samples * sound.channels * TRACK_BYTES, sound.speech_samples * SPEECH_BYTES)
    try:
        return sizes == (track.stat().st_size, speech.stat().st_size)
    except OSError:
        return False


def _checked(kind: TypeAdapter[_AnswerT], answer: object) -> _AnswerT:
    try:
        return kind.validate_python(answer)
    except ValidationError as error:
        raise DecoderDied("sent an answer that cannot be read") from error


def _understood(line: bytes) -> _Message:
    """Return what a decoder said; raise what it failed of."""
    try:
        message = json.loads(line[1:])
        if "failed" in message:
            raise from_problem(message["failed"])
        if "refused" in message:
            raise OSError(*message["refused"])
        if "out_of_memory" in message:
            raise MemoryError
        if "broke" in message:
            raise RuntimeError(message["broke"])
        return dict(message)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DecoderDied("sent a message that cannot be read") from error
