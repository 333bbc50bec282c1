"""The programs of docs/compat.md work as they stand, but for the addresses and the key."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.compat.conftest import KEY, Place

PAGE = Path(__file__).parents[3] / "docs" / "compat.md"
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("program", PROGRAMS, ids=["replicate", "fal", "sync", "duix"])
def test_a_program_of_the_page_works(place: Place, program: str) -> None:
    for shown, meant in (
        ("https://example.org/head.mp4", place.video),
        ("https://example.org/words.wav", place.audio),
        ("http://127.0.0.1:8000", place.url),
        ("KEY", KEY),
        ("httpx.post(", f"httpx.post(headers={{'Authorization': 'Bearer {KEY}'}}, url="),
        ("httpx.get(", f"httpx.get(headers={{'Authorization': 'Bearer {KEY}'}}, url="),
    ):
        program = program.replace(shown, meant)
    environment = {"FAL_KEY": KEY, "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
