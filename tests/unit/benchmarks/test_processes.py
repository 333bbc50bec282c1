import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.processes import peak_megabytes, reset_peaks

HELD = "held = bytes(range(256)) * (400 << 10); del held; print(flush=True); input()"
"""A program that held 100 MB for a moment."""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="there is no Linux here")
def test_what_a_process_held_before_is_not_its_peak_since() -> None:
    command = [sys.executable, "-c", HELD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdin
        process.stdout.readline()
        (before,) = peak_megabytes(process.pid).values()
        reset_peaks(process.pid)
        (after,) = peak_megabytes(process.pid).values()
        process.stdin.write(b"\n")
    assert before > 100 > 60 > after
