from pathlib import Path

import pytest

from app.errors import EngineUnavailable
from app.settings import Settings

pytest.importorskip("ray")
from app.workers import ray_worker
from app.workers.child import check_volumes
from app.workers.ray_pool import _mark


def test_a_machine_s_own_environment_says_where_its_folders_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    service = Settings(avatars_dir=Path("/shared/avatars"), max_pixels=123, device="cpu")
    monkeypatch.setenv("MOUTHPIECE_AVATARS_DIR", str(tmp_path))
    monkeypatch.setenv("MOUTHPIECE_MAX_PIXELS", "456")
    here = ray_worker.on_this_machine(service.model_dump(mode="json", exclude={"api_keys"}))
    assert (here.avatars_dir, here.max_pixels) == (tmp_path, 123)


def test_a_machine_that_sees_other_folders_is_refused(tmp_path: Path) -> None:
    settings = Settings(avatars_dir=tmp_path / "avatars", data_dir=tmp_path / "data")
    marks = _mark(settings)
    check_volumes(settings, marks)
    other = settings.model_copy(update={"avatars_dir": tmp_path / "elsewhere"})
    with pytest.raises(EngineUnavailable, match=r"elsewhere.*MOUTHPIECE_AVATARS_DIR"):
        check_volumes(other, marks)
