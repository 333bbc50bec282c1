"""The browser that shows the studio in pictures and tests."""

import shutil
from typing import Final

NAMES: Final = ("chromium", "google-chrome", "chromium-browser")
"""Debian's Chromium, Google's Chrome, the Chromium of Ubuntu; ``scripts/services`` looks for the same."""


def find_chromium() -> str | None:
    """Return the program of an installed Chromium or Chrome, None where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)
