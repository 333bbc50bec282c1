from collections.abc import Callable
from pathlib import Path

import pytest

import tests.support.ray_cluster  # noqa: F401 - before Ray is imported
from tests.support import clips

Speech = Callable[[float], Path]


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of a talking head, 320x240."""
    return clips.talking_head(tmp_path_factory.mktemp("clips") / "head.mp4", 1.0)


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Speech:
    """Sound files by their length in seconds."""
    folder = tmp_path_factory.mktemp("speech")
    return lambda seconds: clips.speech(folder / f"{seconds}.wav", seconds)
