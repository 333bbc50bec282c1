"""Checkpoints that several workers convert as they start."""

from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from app.wav2lip import conversion
from app.wav2lip.conversion import converted


def test_of_workers_that_start_together_one_converts_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported: list[Path] = []
    found: list[Path] = []
    others = [Thread(target=lambda: found.append(converted(tmp_path / "a.pth"))) for _ in range(2)]

    def export(checkpoint: Path, output: Path, **_: Any) -> None:
        exported.append(output)
        for other in others if len(exported) == 1 else ():
            other.start()
            other.join(0.2)  # it waits, or it exports as well
        output.write_bytes(b"model")

    (tmp_path / "a.pth").write_bytes(b"weights")
    monkeypatch.setattr(conversion, "export", export)
    found.append(converted(tmp_path / "a.pth"))
    for other in others:
        other.join()
    assert len(exported) == 1
    assert found == exported * 3
