"""The networks that ship."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODELS = sorted([*ROOT.glob("models/*.onnx"), *ROOT.glob("app/faces/models/*.onnx")])


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.name)
def test_nothing_tells_where_it_was_written(path: Path) -> None:
    assert b"stack_trace" not in path.read_bytes()
