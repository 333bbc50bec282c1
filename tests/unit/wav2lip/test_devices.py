from pathlib import Path

import pytest

from app.wav2lip import devices
from app.wav2lip.devices import check_device, cuda_index, usable_cores


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:0", "cuda:12"])
def test_known_devices_pass(device: str) -> None:
    check_device(device)


def test_the_index_of_a_cuda_device_is_in_its_name() -> None:
    assert [cuda_index(device) for device in ("cuda", "cuda:0", "cuda:12")] == [0, 0, 12]


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("10000 100000", 1),
        ("6400000 100000", 8),
        ("max 100000", 8),
    ],
)
def test_a_container_uses_no_more_cores_than_its_quota(
    quota: str, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(devices, "_CGROUP_QUOTA", tmp_path / "cpu.max")
    assert usable_cores() == 8
    (tmp_path / "cpu.max").write_text(quota + "\n")
    assert usable_cores() == cores
