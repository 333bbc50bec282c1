"""`make test` needs no torch: where it is missing, its tests are skipped."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys

sys.modules["torch"] = None  # as if it were not installed
import pytest

sys.exit(pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", "tests"]))
"""


@pytest.mark.slow
def test_every_module_of_tests_can_be_read_without_torch() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout[-2000:]
