"""The processes that decode, as far as whoever starts them has to know: this module loads no library."""

import os
import signal
import sys
from subprocess import PIPE, Popen
from typing import Final

from app.sandbox import without_secrets

COMMAND: Final = (sys.executable, "-m", "app.decoding.server")


class DecoderDied(Exception):
    """The process that decoded a file is gone, or has said what cannot be; the text says how."""


class DecoderStalled(DecoderDied):
    """The process that decoded a file said nothing for too long, and was ended."""


def start_server() -> "Popen[bytes]":
    """Start what starts the decoders of one worker; it ends when the worker is gone."""
    environment = without_secrets(os.environ)
    return Popen(COMMAND, stdin=PIPE, stdout=PIPE, bufsize=0, env=environment)  # noqa: S603 - our own


def how_it_ended(status: int) -> str:
    """Return how a process ended whose exit status, or signal as a negative number, this is."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
