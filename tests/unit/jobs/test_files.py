import os
from pathlib import Path
from typing import Any

import pytest

from app.errors import DataFolderInUse
from app.jobs.files import UPLOADS, DataFolder
from app.jobs.job import JobKind, NewJob


def test_a_second_service_is_kept_off_the_folder(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    with folder.lock(), pytest.raises(DataFolderInUse), folder.lock():
        pass
    with folder.lock():
        pass


def test_folders_without_a_record_are_swept_and_others_kept(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    for name in ("known", "stray"):
        folder.job(name).mkdir(parents=True)
        folder.upload(name).write_bytes(b"x")
    assert folder.sweep({"known"}) == 1
    assert folder.upload("known").exists()
    assert not folder.job("stray").exists()


def test_sweeping_a_folder_that_was_never_used_does_nothing(tmp_path: Path) -> None:
    assert DataFolder(tmp_path / "none").sweep(set()) == 0


def test_forgetting_a_job_without_files_is_fine(tmp_path: Path) -> None:
    DataFolder(tmp_path).forget("nobody")


@pytest.mark.parametrize("ended_well", [True, False])
def test_a_file_that_cannot_be_deleted_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended_well: bool
) -> None:
    folder, job = DataFolder(tmp_path), NewJob("one", JobKind.RENDER, "anna")
    folder.job(job.id).mkdir(parents=True)
    for name in UPLOADS:
        folder.upload(job.id, name).write_bytes(b"x")
    unlink = os.unlink

    def refuse(path: Any, **given: Any) -> None:
        if Path(path).name == UPLOADS[-1]:
            raise PermissionError("It may not.")
        unlink(path, **given)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        with pytest.raises(PermissionError):
            folder.keep_result(job) if ended_well else folder.forget(job.id)
    assert [path.name for path in folder.job(job.id).iterdir()] == [UPLOADS[-1]]
    folder.forget(job.id)
    assert not folder.job(job.id).exists()


def test_what_workers_left_that_died_over_a_result_goes_when_it_is_there(tmp_path: Path) -> None:
    folder, job = DataFolder(tmp_path), NewJob("one", JobKind.RENDER, "anna")
    result, left = folder.result(job), folder.job(job.id) / ".sound-x1y2"
    left.mkdir(parents=True)
    for path in (result, left / "track.s16", result.with_name(".result.00c0ffee.part.mp4")):
        path.touch()
    folder.keep_result(job)
    assert list(folder.job(job.id).iterdir()) == [result]


def test_all_goes_that_can_of_what_a_result_was_made_of_though_some_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, job = DataFolder(tmp_path), NewJob("one", JobKind.RENDER, "anna")
    workspace, upload = folder.workspace(job.id), folder.upload(job.id)
    stays = [workspace.scores / "0", workspace.fragment(0), workspace.stages]
    for path in (*stays, workspace.scores / "1", workspace.fragment(1), workspace.track, upload):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    unlink = os.unlink

    def refuse(path: Any, **given: Any) -> None:
        if Path(path).name in {path.name for path in stays}:
            raise PermissionError(f"It may not: {path}.")
        unlink(path, **given)

    for refused in (stays, stays[:1]):
        stays = refused
        with monkeypatch.context() as patch:
            patch.setattr(os, "unlink", refuse)
            with pytest.raises(PermissionError, match="It may not"):
                folder.keep_result(job)
        assert sorted(path for path in folder.job(job.id).rglob("*") if path.is_file()) == sorted(stays)
    folder.keep_result(job)
    assert not folder.job(job.id).exists()


def test_a_job_gets_the_files_that_arrived_under_another_id_instead_of_its_own(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    for name, file in {"mine": "result.mp4", "new": "upload", "newer": "upload"}.items():
        folder.job(name).mkdir(parents=True)
        (folder.job(name) / file).write_text(name)
    for arrived in ("new", "newer"):
        folder.forget(folder.replace("mine", arrived))
        assert [path.name for path in (tmp_path / "jobs").iterdir() if path.name != "newer"] == ["mine"]
        assert [path.read_text() for path in folder.job("mine").iterdir()] == [arrived]
    with pytest.raises(FileNotFoundError):
        folder.replace("mine", "never")


@pytest.mark.parametrize("had", [["mine", "new"], ["new"]])
def test_what_was_replaced_is_put_back(tmp_path: Path, had: list[str]) -> None:
    folder = DataFolder(tmp_path)
    for name in had:
        folder.job(name).mkdir(parents=True)
        (folder.job(name) / "file").write_text(name)
    folder.put_back("mine", "new", folder.replace("mine", "new"))
    assert {path.name: (path / "file").read_text() for path in (tmp_path / "jobs").iterdir()} == {
        name: name for name in had
    }
