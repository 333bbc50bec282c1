from pathlib import Path

import pytest

from app.errors import DataFolderInUse
from app.jobs.files import DataFolder


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
