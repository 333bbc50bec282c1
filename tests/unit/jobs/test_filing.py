from pathlib import Path

import pytest

from app.jobs.files import DataFolder
from app.jobs.filing import Filing
from app.jobs.records import Records
from app.jobs.table import JobTable

pytestmark = pytest.mark.anyio


def filing(files: DataFolder, table: JobTable, *needed: str) -> Filing:
    return Filing(files, Records(table), lambda job_id: job_id in needed)


def put(files: DataFolder, job_id: str) -> Path:
    files.job(job_id).mkdir(parents=True)
    files.upload(job_id).write_text(job_id)
    return files.job(job_id)


async def test_files_of_a_job_that_has_taken_the_place_of_another_are_not_deleted(
    tmp_path: Path, table: JobTable
) -> None:
    files = DataFolder(tmp_path)
    folders = [put(files, "needed"), put(files, "gone")]
    keeper = filing(files, table, "needed")
    for job_id in ("needed", "gone"):
        await keeper.forget_arrival(job_id)
    assert [folder.exists() for folder in folders] == [True, False]


async def test_what_is_replaced_is_as_before_if_the_block_fails_and_nobody_else_holds_it_then(
    tmp_path: Path, table: JobTable
) -> None:
    files = DataFolder(tmp_path)
    for job_id in ("job", "arrived"):
        put(files, job_id)
    keeper = filing(files, table)
    read = []

    async def fail() -> None:
        async with keeper.replacing("job", "arrived"):
            read.append(files.upload("job").read_text())
            read.append(str(1 / 0))

    with pytest.raises(ZeroDivisionError):
        await fail()
    read += [files.upload(job_id).read_text() for job_id in ("job", "arrived")]
    assert read == ["arrived", "job", "arrived"]
    await keeper.forget_arrival("job")
    assert not files.job("job").exists()
