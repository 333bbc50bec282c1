from pathlib import Path

import pytest

from app.errors import EngineUnavailable
from app.jobs.pool import Call
from app.settings import Settings
from tests.support.scripted_worker import ScriptedWorker
from tests.support.waiting import script

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


def test_a_machine_that_cannot_keep_decoded_frames_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EngineUnavailable, match=r"file on .*MOUTHPIECE_FRAMES_DIR"):
        check_volumes(Settings(frames_dir=tmp_path / "file"), {})


class Scripted(ray_worker.RayWorker):
    """An actor without Ray around it, that starts a scripted worker."""

    command = script(ScriptedWorker)


def begun(tmp_path: Path, model: str = "fine.onnx", **marks: str) -> Scripted:
    settings = Settings(data_dir=tmp_path / "data", model=Path(model), device="cpu", log_level="error")
    plain = settings.model_dump(mode="json", exclude={"api_keys", "database_url", "fetch_allow"})
    return Scripted({"settings": plain, "device": "cpu", "cores": (), "name": "one", "marks": marks})


def test_an_actor_passes_on_what_its_worker_says_and_how_it_ends(tmp_path: Path) -> None:
    actor = begun(tmp_path)
    assert [message["ready"]["name"] for message in actor.hear()] == ["script"]
    actor.tell({"call": vars(Call("encode", "one", "anna", {"frames": 2}, segments=(0,)))})
    assert list(actor.hear())[-1]["answer"]["frames_made"] == 2
    actor.tell({"call": vars(Call("encode", "two", "anna", {"misbehave": "crash"}, segments=(0,)))})
    assert list(actor.hear())[-1] == {"gone": True, "died": "was ended by SIGSEGV"}


def test_a_worker_on_a_machine_without_the_volume_says_so_and_ends(tmp_path: Path) -> None:
    actor = begun(tmp_path, data_dir=".mouthpiece-volume-1234")
    (message,) = actor.hear()
    assert "mount the same volume on all machines" in message["unusable"]["detail"]
    assert list(actor.hear()) == [{"gone": True, "died": "ended with status 0"}]
