"""A server of decoders that files have taken over: the text of its file says what each does."""

import json
import os
import signal
import sys
import time
from pathlib import Path

from app.decoding import server
from app.decoding.messages import DecodeFrames, DecodeSound, Request
from tests.support import payload


def be_hijacked(request: Request) -> None:
    """Do as the file says."""
    source = request.audio if isinstance(request, DecodeSound) else request.video
    deed, *words = source.read_text().split("\n")
    match deed:
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hoard":
            bytearray(1 << 30)
        case "hang":
            time.sleep(3600)
        case "let go":
            os.close(1)
            time.sleep(3600)
        case "babble":
            while True:
                server.say({"frames": 0})
        case "toil":
            while True:
                pass
        case "tell the niceness":
            server.say({"broke": str(os.getpriority(os.PRIO_PROCESS, 0))})
        case "tell what is loaded":
            server.say({"broke": " ".join(set(sys.modules) & set(words))})
        case "say":
            os.write(1, "\n".join(words).encode() + b"\n")
        case "try" if isinstance(request, DecodeSound):
            outcome = payload.try_all(request.track.parent, [*map(Path, words)])
            server.say({"broke": json.dumps(outcome)})
        case "write" if isinstance(request, DecodeFrames):
            request.file.write_bytes(b"x")
            outcome = payload.try_all(request.file.parent, [source])
            server.say({"broke": json.dumps(outcome)})


if __name__ == "__main__":
    server.main(be_hijacked)
