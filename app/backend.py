"""What stands behind the API: this machine, or a cluster. The choice is made here and nowhere else."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine

from app.avatars.store import AvatarStore
from app.errors import EngineUnavailable
from app.jobs.files import DataFolder
from app.jobs.messages import Ended
from app.jobs.queue import JobQueue, LocalQueue
from app.jobs.schema import open_database
from app.jobs.supervisor import Patience, Supervisor
from app.jobs.table import JobTable
from app.jobs.workforce import Workforce
from app.settings import Settings


@dataclass(frozen=True)
class Backend:
    """The records of the jobs, the avatars, the queue that takes jobs, and whoever does them."""

    engine: Engine
    table: JobTable
    avatars: AvatarStore
    queue: JobQueue
    workforce: Workforce


def make_backend(settings: Settings, files: DataFolder, on_ended: Callable[[Ended], None]) -> Backend:
    """Make the backend that the settings ask for; ``on_ended`` hears of every job that ends.

    Raises ``DataFolderError`` if the job database cannot be used, ``EngineUnavailable`` without the packages.
    """
    make = _cluster if settings.broker_url else _local
    return make(settings, files, on_ended)


def _local(settings: Settings, files: DataFolder, on_ended: Callable[[Ended], None]) -> Backend:
    avatars = AvatarStore(settings.avatars_dir)
    engine = open_database(settings.database_url or files.database)
    table = JobTable(engine, settings.max_queued)
    supervisor = Supervisor(
        table,
        files,
        settings_json=settings.model_dump_json(exclude={"api_keys"}),
        patience=Patience(settings.max_attempts, settings.stall_seconds),
        on_ended=on_ended,
        on_death=avatars.sweep,
    )
    return Backend(engine, table, avatars, LocalQueue(table), supervisor)


def _cluster(settings: Settings, files: DataFolder, on_ended: Callable[[Ended], None]) -> Backend:
    try:
        from app.cluster import schema
        from app.cluster.foreman import Foreman
        from app.cluster.parts import PartTable
        from app.cluster.post import make_celery
        from app.cluster.queue import ClusterQueue
        from app.cluster.roster import Roster
        from app.cluster.turns import TurnTable
    except ImportError as error:
        raise EngineUnavailable(
            f"MOUTHPIECE_BROKER_URL needs the extra 'cluster' ({error}): pip install 'mouthpiece[cluster]'."
        ) from error
    assert settings.database_url is not None
    assert settings.broker_url is not None
    engine = schema.open_database(settings.database_url)
    table = JobTable(engine, settings.max_queued)
    parts = PartTable(engine, table, settings.max_attempts)
    turns = TurnTable(engine, settings.max_running_per_key)
    celery = make_celery(settings.broker_url)
    foreman = Foreman(parts, turns, Roster(engine), files, celery, on_ended)
    avatars = AvatarStore(settings.avatars_dir)
    return Backend(engine, table, avatars, ClusterQueue(table, parts, foreman.hurry), foreman)
