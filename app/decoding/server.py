"""What starts a decoder for each file: ``python -m app.decoding.server``, for a worker that cannot itself.

A worker is locked in and can start no process; this one was started before. It has loaded what decoders need
and nothing else: a decoder is a fork of it, there within milliseconds, and locks itself in with its one file.

Standard input: a line with what all decoders have in common, then a request a line, and ``stop`` to end the
decoder that is at work. Standard output: what a decoder says, each line after ``+``; and when it has ended,
``=`` and how. When standard input ends, the worker is gone.
"""

import ctypes
import gc
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from app.decoding.messages import Request
    from app.progress import Alive

STOP: Final = b"stop\n"
TELL_SECONDS: Final = 0.02
"""Least time between two reports of the frames that are there."""
ALIVE_SECONDS: Final = 1.0
"""Least time between two reports that a decoder without frames to report is at work."""
OPENING_CPU_SECONDS: Final = 60.0
"""The CPU time in which a file must have been opened, and its first picture decoded;"""
SOUND_CPU_SECONDS: Final = 0.2
"""and what each second of sound may take, a hundred times as much as common formats do,"""
FRAMES_CPU_SECONDS: Final = 30.0
"""and each second of a video: more than 60 frames of 4K in HDR take. Beyond that, the decoder is ended."""
MOST_CPU_SECONDS: Final = 100 * 3600.0
"""The most of that, for what is decoded without limits: the kernel counts nanoseconds, in 64 bits."""
FRAMES_NICENESS: Final = 5
"""By how much a decoder of frames, which has several threads, stands back behind the one of its worker that
follows the face in them: where there are two cores, they are through with a video together."""
SOUND_BYTES: Final = 512 << 20
"""Memory for decoding sound, of which only a frame is held at a time."""
LONGEST_LINE: Final = 1 << 20
"""Bytes of what a decoder may say at a time."""
_PR_SET_PDEATHSIG: Final = 1


def main(be_decoder: Callable[["Request"], None] | None = None) -> None:
    """Answer requests until the worker is gone; ``be_decoder`` is what a decoder does, locked in."""
    requests = sys.stdin.buffer.raw  # type: ignore[union-attr]  # unbuffered, for select
    if not (first := requests.readline()):
        return  # the worker ended before its model was loaded
    common: dict[str, Any] = json.loads(first)
    # Imported only now, when the worker has loaded its model: at the start both would want the processor.
    from app.decoding.messages import REQUEST
    from app.media import frame_file, video  # noqa: F401 - else each decoder would load them anew
    from app.sandbox import Sandbox, lock_files

    lock_files(Sandbox(tuple(map(Path, common["read"])), tuple(map(Path, common["write"]))))
    Sandbox.of_files((), ())  # the slow part of it is kept, for every decoder
    gc.freeze()
    while line := requests.readline():
        if line == STOP:  # too late: that decoder had ended
            continue
        _serve(REQUEST.validate_json(line), common["max_memory_bytes"], be_decoder or answer)


def _serve(request: "Request", max_memory_bytes: int, be_decoder: Callable[["Request"], None]) -> None:
    """Have a decoder answer a request, and see it to its end."""
    said, says = os.pipe()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            _lock_in(request, says, max_memory_bytes)
            be_decoder(request)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(says)
    with suppress(BrokenPipeError):  # a worker that was killed needs no answer
        try:
            _pass_on(said)
        finally:
            # It may have closed its pipe, and live on. What already ends keeps its own status.
            os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            os.close(said)
        os.write(1, f"={os.waitstatus_to_exitcode(status)}\n".encode())


def _pass_on(said: int) -> None:
    """Pass on what a decoder says until it ends, or is to be ended: that is asked for, or it babbles."""
    rest = b""
    while True:
        ready, _, _ = select.select([said, 0], [], [])
        data = os.read(said, LONGEST_LINE) if said in ready else b""
        *lines, rest = (rest + data).split(b"\n")
        os.write(1, b"".join(b"+" + line + b"\n" for line in lines))
        if 0 in ready:
            os.read(0, len(STOP))
            return
        if not data or len(rest) > LONGEST_LINE:
            return


def _lock_in(request: "Request", says: int, max_memory_bytes: int) -> None:
    """Keep this process to what the request is for: its files, what is made of them, and its one pipe."""
    from app.decoding.messages import DecodeFrames, DecodeSound
    from app.sandbox import Sandbox, cap_memory, enter

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(says, 1)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    seconds = OPENING_CPU_SECONDS
    match request:
        case DecodeSound():
            read, write = {request.audio}, {request.track.parent, request.speech.parent}
            limits = request.limits
            decoded = limits.max_seconds if limits.used_seconds is None else limits.used_seconds
            seconds += SOUND_CPU_SECONDS * float(decoded)
            max_memory_bytes = min(max_memory_bytes, SOUND_BYTES)
        case DecodeFrames():
            read, write = {request.video}, {request.file}
            seconds += FRAMES_CPU_SECONDS * request.limits.max_seconds
            os.nice(FRAMES_NICENESS)
            if request.backdrop:
                read.add(request.backdrop)
            resource.setrlimit(resource.RLIMIT_FSIZE, (request.most_bytes, request.most_bytes))
        case _:
            read, write = {request.video}, set()
    limit = ceil(min(seconds, MOST_CPU_SECONDS))
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    hard = limit + 1 if most == resource.RLIM_INFINITY else min(limit + 1, most)
    resource.setrlimit(resource.RLIMIT_CPU, (min(limit, hard), hard))
    enter(Sandbox.of_files(read, write))
    cap_memory(max_memory_bytes)


def answer(request: "Request") -> None:
    """Decode what is asked for, and say what came of it."""
    from app.errors import MouthpieceError

    said: dict[str, Any]
    try:
        said = {"answer": _decode(request)}
    except MouthpieceError as error:
        said = {"failed": error.problem()}
    except OSError as error:
        name = error.filename2 or error.filename  # of two, the place where the file was to be put
        said = {"refused": [error.errno, error.strerror, name and str(name)]}
    except MemoryError:
        said = {"out_of_memory": True}
    except Exception:
        said = {"broke": traceback.format_exc()}
    say(said)


def _decode(request: "Request") -> Any:
    from app.decoding.messages import FINDINGS, SOUND, VIDEO_INFO, DecodeFrames, DecodeSound
    from app.media.findings import Findings
    from app.media.frame_file import write_frames
    from app.media.probe import probe_video
    from app.media.sound import decode_sound
    from app.media.video import decode_pieces

    match request:
        case DecodeSound():
            sound = decode_sound(request.audio, request.limits, request.track, request.speech, _at_work())
            return SOUND.dump_python(sound, mode="json")
        case DecodeFrames():
            findings = Findings()
            frames = decode_pieces(request.video, request.info, request.limits, findings, request.backdrop)
            count, told = 0, 0.0
            for _ in write_frames(frames, request.file, request.most_bytes):
                if count and time.monotonic() - told > TELL_SECONDS:
                    told = time.monotonic()
                    say({"frames": count})  # those before this one are in the file
                count += 1
            say({"frames": count})
            return FINDINGS.dump_python(findings, mode="json")
        case _:
            info = probe_video(request.video, request.limits, request.treatment, _at_work())
            return VIDEO_INFO.dump_python(info, mode="json")


def _at_work() -> "Alive":
    """Return what tells the worker, now and then, that this decoder is at work."""
    told = time.monotonic()

    def alive() -> None:
        nonlocal told
        if time.monotonic() - told >= ALIVE_SECONDS:
            told = time.monotonic()
            say({"alive": True})

    return alive


def say(message: dict[str, Any]) -> None:
    """Say something to the worker."""
    os.write(1, json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    main()
