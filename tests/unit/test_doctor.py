from pathlib import Path

import pytest

from app import doctor


@pytest.mark.parametrize(
    "line",
    [
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04  Tue Oct 1 10:16:15 UTC 2026\n",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build  (dvs-builder)\n",
    ],
    ids=["proprietary", "open"],
)
def test_the_version_of_both_kinds_of_driver_is_read(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = tmp_path / "version"
    version.write_text(line + "GCC version:  gcc version 13.3.0 (Ubuntu 13.3.0-6ubuntu2~24.04)\n")
    monkeypatch.setattr(doctor, "has_cuda_driver", lambda: True)
    monkeypatch.setattr(doctor, "_DRIVER", version)
    assert doctor._driver() == "driver 580.159.04"
