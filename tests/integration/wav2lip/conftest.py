from pathlib import Path

import pytest

from tests.support.checkpoints import random_checkpoint

EXPORTS = {"converted_checkpoint", "lower_checkpoint", "half_export"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what wants an export of the full-size network: each takes many seconds."""
    for item in items:
        if not EXPORTS.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random official-layout checkpoint as training leaves it."""
    pytest.importorskip("torch")
    return random_checkpoint(tmp_path_factory.mktemp("checkpoint") / "random.pth")


@pytest.fixture(scope="session")
def converted_checkpoint(checkpoint: Path) -> Path:
    """The fp32 ONNX model that stands beside the checkpoint after its first start on a CPU."""
    pytest.importorskip("onnxscript")
    from app.wav2lip.conversion import converted

    return converted(checkpoint)


@pytest.fixture(scope="session")
def lower_checkpoint(checkpoint: Path) -> Path:
    """The ONNX model with which a CPU renders."""
    pytest.importorskip("onnxscript")
    from app.wav2lip.conversion import converted

    return converted(checkpoint, lower_rows=True)


@pytest.fixture(scope="session")
def half_export(checkpoint: Path) -> Path:
    """The checkpoint exported in fp16."""
    pytest.importorskip("onnxscript")
    from app.wav2lip.export import export

    return export(checkpoint, checkpoint.with_name("half.onnx"), "fp16").path
