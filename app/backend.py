"""The backend of the API: job table, avatars, and a scheduler with a pool. Everything is chosen here."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from sqlalchemy import Engine

from app.avatars.store import AvatarStore
from app.errors import AddressRefused, EngineUnavailable, InvalidRequest
from app.extras import install_command
from app.jobs.files import DataFolder
from app.jobs.job import Ended
from app.jobs.pool import Pool
from app.jobs.scheduler import Scheduler
from app.jobs.schema import open_database
from app.jobs.table import JobTable
from app.jobs.turn import Limits
from app.outside.allowance import check_own_url
from app.settings import Settings, check_names
from app.volume import check_folders
from app.workers.join import check_token
from app.workers.local import LocalPool


@dataclass(frozen=True)
class Backend:
    """The records of the jobs, the avatars, and what gives the jobs to workers."""

    engine: Engine
    table: JobTable
    avatars: AvatarStore
    scheduler: Scheduler


def make_backend(settings: Settings, files: DataFolder, on_ended: Callable[[Ended], None]) -> Backend:
    """Make the backend that the settings ask for; ``on_ended`` hears of every job that ends.

    Raises ``DataFolderError`` if the job database cannot be used, ``EngineUnavailable`` without the packages,
    ``InvalidRequest`` if the settings do not go together.
    """
    check_names()
    local = () if settings.ray_address else ("frames_dir",)  # else the machines of the cluster have it
    check_folders(settings, "avatars_dir", *local)
    if settings.webhook_url:
        try:
            check_own_url(settings.webhook_url)
        except AddressRefused as error:
            raise InvalidRequest(f"MOUTHPIECE_WEBHOOK_URL: {error.detail}") from error
    avatars = AvatarStore(settings.avatars_dir)
    engine = _open_database(settings, files)
    table = JobTable(engine)
    scheduler = Scheduler(
        table,
        files,
        _make_pool(settings),
        Limits(
            attempts=settings.max_attempts,
            running_per_key=settings.max_running_per_key,
            queued=settings.max_queued,
            queued_per_key=settings.max_queued_per_key or ceil(settings.max_queued / 2),
        ),
        on_ended=on_ended,
    )
    return Backend(engine, table, avatars, scheduler)


def _open_database(settings: Settings, files: DataFolder) -> Engine:
    try:
        url = settings.database_url
        return open_database(url.get_secret_value() if url else files.database)
    except ImportError as error:
        raise EngineUnavailable(
            f"MOUTHPIECE_DATABASE_URL needs the extra 'cluster' ({error}): "
            f"run `{install_command('mouthpiece[cluster]')}`."
        ) from error


def _make_pool(settings: Settings) -> Pool:
    if settings.ray_address is None:
        return LocalPool(settings)
    check_token()
    try:
        from app.workers.ray_pool import RayPool
    except ImportError as error:
        raise EngineUnavailable(
            f"MOUTHPIECE_RAY_ADDRESS needs the extra 'cluster' ({error}): "
            f"run `{install_command('mouthpiece[cluster]')}`."
        ) from error
    return RayPool(settings)
