"""What is done with a claimed job: the one place where jobs meet avatars, rendering and the model."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol

from app.avatars.manifest import Manifest
from app.avatars.store import AvatarStore
from app.errors import AvatarDamaged, AvatarDeleted, AvatarExists, AvatarNotFound
from app.jobs.files import DataFolder
from app.jobs.job import Job, JobKind
from app.progress import Progress
from app.settings import Settings

if TYPE_CHECKING:
    from app.rendering.renderer import RenderRequest
    from app.workshop import Workshop


@dataclass(frozen=True)
class JobStats:
    """What a job that succeeded was and what it took, for the metrics."""

    frames: int = 0
    media_seconds: float = 0.0
    stage_seconds: Mapping[str, float] = field(default_factory=dict)


class Runner(Protocol):
    """Does the work of one job at a time, in the render process."""

    def load(self) -> Mapping[str, Any]:
        """Load and warm up the model; return what is to be known of it. Raises ``ModelError``."""

    def run(self, job: Job, progress: Progress) -> JobStats:
        """Do a job; raise what it fails of, or what ``progress`` raises."""


class ModelRunner:
    """Makes avatars and renders with the model that the settings name."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._files = DataFolder(settings.data_dir)
        self._store = AvatarStore(settings.avatars_dir)
        self._workshop: Workshop

    def load(self) -> Mapping[str, Any]:
        """See :class:`Runner`."""
        # Imported here, and not with the module: it takes a second, and the web process does not need it.
        from app.workshop import Workshop

        self._workshop = Workshop.open(self._settings)
        self._workshop.infer.warm_up()
        return asdict(self._workshop.infer.info)

    def run(self, job: Job, progress: Progress) -> JobStats:
        """See :class:`Runner`."""
        return self._build(job, progress) if job.kind is JobKind.AVATAR else self._render(job, progress)

    def _build(self, job: Job, progress: Progress) -> JobStats:
        from app.avatars.builder import AvatarRequest
        from app.faces.types import FaceChoice, Pads

        params = job.params
        request = AvatarRequest(
            id=job.avatar_id,
            video=self._files.upload(job.id),
            filename=params["filename"],
            face=FaceChoice(params["face"]),
            pads=Pads(*params["pads"]),
            smoothing=params["smoothing"],
        )
        try:
            manifest = self._workshop.builder.build(request, progress)
        except AvatarExists:
            manifest = self._made_before(job)
        return JobStats(manifest.frame_count, manifest.duration)

    def _made_before(self, job: Job) -> Manifest:
        """Return the avatar that an earlier attempt finished just before its process died.

        Raises ``AvatarExists`` if the avatar is somebody else's.
        """
        manifest = self._store.manifest(job.avatar_id)
        if job.attempts > 1 and job.started_at is not None and manifest.created_at > job.started_at:
            return manifest
        raise AvatarExists(f"There is an avatar {job.avatar_id!r} already; delete it or take another id.")

    def _render(self, job: Job, progress: Progress) -> JobStats:
        with self._telling_of_deletion(job):
            report = self._workshop.renderer.render(
                self._request(job),
                self._files.workspace(job.id),
                progress,
                keep_fragments=job.params["stream"],
            )
        return JobStats(report.frames_rendered, report.duration, report.stage_seconds)

    def _request(self, job: Job) -> "RenderRequest":
        from app.rendering.renderer import RenderRequest

        params = job.params
        return RenderRequest(
            avatar_id=job.avatar_id,
            audio=self._files.upload(job.id),
            fps=None if params["fps"] is None else Fraction(params["fps"]),
            quality=params["quality"],
            mouth_offset_ms=params["mouth_offset_ms"],
            start_frame=params["start_frame"],
            loop=params["loop"],
        )

    @contextmanager
    def _telling_of_deletion(self, job: Job) -> Iterator[None]:
        """Raise ``AvatarDeleted`` for what goes wrong in the block because the avatar is gone."""
        try:
            yield
        except (AvatarNotFound, AvatarDamaged, OSError) as error:
            if self._store.exists(job.avatar_id):
                raise
            raise AvatarDeleted(
                f"The avatar {job.avatar_id!r} was deleted before the render was finished."
            ) from error
