"""The worker: one loaded model on one device, and its four calls. It knows nothing of queues.

Its results are files on the volumes. Each call may run twice, even in two workers: what exists is kept, and
files appear complete.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from functools import partial
from subprocess import Popen
from threading import Thread
from typing import TYPE_CHECKING, Any

import structlog

from app import __version__
from app.avatars.manifest import Manifest
from app.avatars.store import AvatarStore
from app.decoding.process import DecoderDied, start_server
from app.errors import (
    AvatarDamaged,
    AvatarDeleted,
    AvatarExists,
    AvatarNotFound,
    JobCanceled,
    MouthpieceError,
    TooMuchMemory,
)
from app.jobs.files import DataFolder
from app.jobs.job import is_one_call
from app.jobs.pool import Answer, Call
from app.media.files import replacing
from app.notices import Notice, NoticeCode
from app.options import read
from app.progress import Alive, Progress
from app.rendering.stages import note_stages
from app.settings import Settings
from app.tracing import about
from app.volume import meaning

if TYPE_CHECKING:
    from app.avatars.builder import AvatarRequest
    from app.rendering.opened import OpenRender
    from app.rendering.renderer import RenderRequest
    from app.workshop import Workshop

log = structlog.stdlib.get_logger(__name__)


class _GaveWay(Exception):
    """Ends an encoding between two segments."""


class Worker:
    """See the module. One call at a time; :meth:`stop` and :meth:`give_way` may come from other threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._files = DataFolder(settings.data_dir)
        self._store = AvatarStore(settings.avatars_dir)
        self._decoding: Popen[bytes]
        self._workshop: Workshop
        self._open: tuple[str, OpenRender] | None = None
        self._opened = ExitStack()
        self._told: Mapping[str, float] = {}
        """The seconds of each stage of the open render that were answered."""
        self._stopped = False
        self._giving_way = False

    def begin(self) -> None:
        """Start what decodes, while this process may still start others."""
        self._decoding = start_server()

    def load(self) -> Mapping[str, Any]:
        """Load and warm up the model; return what is to be known of it, by the fields of ``ModelInfo``.

        ``encoder`` is that of the videos, ``devices`` the number of GPUs in this machine, ``version`` this
        release. Raises ``ModelError``.
        """
        # Imported here, and not with the module: it takes a second, and the web process does not need it.
        from app.avatars.builder import compile_networks
        from app.decoding.apart import DecoderApart
        from app.wav2lip.devices import cuda_devices
        from app.workshop import Workshop

        decoder = DecoderApart(self._decoding, self._settings)
        self._workshop = Workshop.open(self._settings, decoder)
        self._workshop.infer.warm_up()
        decoder.load()
        Thread(target=compile_networks, name="networks").start()  # else the first video waits for it
        info = self._workshop.infer.info
        devices = cuda_devices() if info.device.startswith("cuda") else 0
        encoder = self._workshop.renderer.encoder
        return asdict(info) | {"encoder": encoder, "devices": devices, "version": __version__}

    def do(self, call: Call, progress: Progress) -> Answer:
        """Do a call; raises :class:`MouthpieceError`, ``JobCanceled`` if it was stopped, ``DecoderDied``."""
        method: Callable[..., Answer] = getattr(self, call.method)
        with structlog.contextvars.bound_contextvars(**about(call.job_id, call.traceparent)):
            try:
                self._check_stopped()
                return method(call, partial(self._tell, progress))
            except DecoderDied:
                self._close()
                raise
            except Exception as error:
                self._close()
                # An error that is its own cause, or that a variable here holds, is part of a reference cycle:
                # all that the call held would stay in memory until the garbage collector runs.
                raise as_error(error, call.job_id) from (
                    None if isinstance(error, MouthpieceError) else error
                )

    def go_on(self) -> None:
        """Forget what was asked of earlier calls; the next one may be stopped before it has begun."""
        self._stopped = self._giving_way = False

    def stop(self) -> None:
        """Have the present call end soon, with ``JobCanceled``."""
        self._stopped = True

    def give_way(self) -> None:
        """Have the present call answer when the segment is done that is being encoded."""
        self._giving_way = True

    def build_avatar(self, call: Call, progress: Progress) -> Answer:
        """Make an avatar; answers ``frames_made``, ``media_seconds`` and ``warnings``.

        One that a render makes of its video may be there already: then no frames were made.
        """
        request, own = self._avatar_request(call), True
        try:
            if is_one_call(call.params):
                render, workspace = self._render_request(call), self._files.workspace(call.job_id)
                manifest = self._workshop.build_ahead(request, render, workspace, progress)
            else:
                manifest = self._workshop.builder.build(request, progress)
        except AvatarExists:
            manifest = self._made_before(call)
            own = manifest.job == call.job_id
        return {
            "frames_made": manifest.frame_count if own else 0,
            "media_seconds": manifest.duration,
            "warnings": manifest.warnings,
        }

    def check(self, call: Call, progress: Progress) -> Answer:
        """Report on a video of which an avatar might be made; answers as :meth:`build_avatar`."""
        workspace = self._files.workspace(call.job_id)
        found = self._workshop.builder.examine(self._avatar_request(call), workspace.sheet, progress)
        with replacing(workspace.report) as temporary:
            temporary.write_text(json.dumps(found.as_dict()), encoding="utf-8")
        return {
            "frames_made": found.frame_count,
            "media_seconds": found.duration,
            "warnings": found.warnings,
        }

    def prepare(self, call: Call, progress: Progress) -> Answer:
        """Open a render, and make its workspace ready for all workers.

        Answers ``frames`` of each segment, ``there`` (the segments that are on the volume already) and
        ``media_seconds`` and ``warnings``.
        """
        self._close()
        with self._rendering(call, progress, anew=True) as render:
            self._store.use(call.avatar_id)
            render.begin()
            render.share_sound()
            return {
                "frames": [segment.frame_count for segment in render.segments],
                "there": [s.index for s in render.segments if render.workspace.fragment(s.index).exists()],
                "media_seconds": render.duration,
                "warnings": _warnings(call, render),
                "stage_seconds": self._spent(render),
            }

    def encode(self, call: Call, progress: Progress) -> Answer:
        """Encode segments; answers ``segments`` that are there now, ``frames_made`` and ``stage_seconds``."""
        with self._rendering(call, progress) as render:
            missing = [i for i in call.segments if not render.workspace.fragment(i).exists()]
            at_first: int | None = None

            def heard(done: int, total: int) -> None:
                """Pass progress on; end the work when it is to give way and one more segment is there."""
                nonlocal at_first
                progress(done, total)
                if self._giving_way:
                    there = sum(render.workspace.fragment(index).exists() for index in missing)
                    at_first = there if at_first is None else at_first
                    if there > at_first:
                        raise _GaveWay

            with suppress(_GaveWay):
                render.encode([render.segments[index] for index in call.segments], heard)
            there = [i for i in call.segments if render.workspace.fragment(i).exists()]
            return {
                "segments": there,
                "frames_made": sum(render.segments[i].frame_count for i in there if i in missing),
                "stage_seconds": self._spent(render),
            }

    def finish(self, call: Call, progress: Progress) -> Answer:
        """Join the segments, which all have to be there; answers ``stage_seconds`` and ``warnings``."""
        with self._rendering(call, progress) as render:
            alive = partial(progress, 0, 0)
            render.join(alive)
            spent = self._spent(render)
            self._report(render, alive)
            warnings = [*_warnings(call, render), *render.heard_notices()]
        self._close()
        return {"stage_seconds": spent, "warnings": warnings}

    def _spent(self, render: "OpenRender") -> dict[str, float]:
        """Return how long each stage took since the last call for a render, and note it beside that."""
        now = render.report(0, 0).stage_seconds
        spent = {stage: seconds - self._told.get(stage, 0.0) for stage, seconds in now.items()}
        self._told = now
        note_stages(render.workspace.stages, spent)
        return spent

    def _report(self, render: "OpenRender", alive: Alive) -> None:
        """Write the receipt of a render. It must not fail for that: what it is like can be seen otherwise."""
        from app.rendering.receipt import write_receipt

        info = self._workshop.infer.info
        try:
            write_receipt(render, {"name": info.name, "sha256": info.sha256}, alive)
        except JobCanceled:
            raise
        except Exception as error:
            log.exception("receipt_not_made", exc_info=error)

    def _tell(self, progress: Progress, done: int, total: int) -> None:
        self._check_stopped()
        progress(done, total)

    def _check_stopped(self) -> None:
        if self._stopped:
            raise JobCanceled("The job was canceled.")

    @contextmanager
    def _rendering(self, call: Call, progress: Progress, *, anew: bool = False) -> Iterator["OpenRender"]:
        """Open a render. The last one stays open, so that the next call for it costs nothing to begin.

        Raises ``AvatarDeleted`` for what goes wrong because the avatar is gone.
        """
        try:
            if self._open is None or self._open[0] != call.job_id:
                self._close()
                request, workspace = self._render_request(call), self._files.workspace(call.job_id)
                opening = self._workshop.renderer.open(request, workspace, partial(progress, 0, 0))
                self._open, self._told = (call.job_id, self._opened.enter_context(opening)), {}
            render = self._open[1]
            if not anew and not render.is_begun:
                raise MouthpieceError(
                    "The avatar was replaced meanwhile, or the workers differ in model, encoder or release; "
                    "try again once they match."
                )
            yield render
            self._check_stopped()
        except (AvatarNotFound, AvatarDamaged, OSError) as error:
            if self._store.exists(call.avatar_id):
                raise
            raise AvatarDeleted(
                f"The avatar {call.avatar_id!r} was deleted before the render finished."
            ) from error

    def _avatar_request(self, call: Call) -> "AvatarRequest":
        from app.avatars.builder import AvatarRequest
        from app.avatars.options import AvatarOptions

        video, name = ("video", "video") if is_one_call(call.params) else ("upload", "filename")
        return AvatarRequest(
            id=call.avatar_id,
            video=self._files.upload(call.job_id, video),
            filename=call.params[name],
            options=read(AvatarOptions, call.params),
            implicit=is_one_call(call.params),
            job=call.job_id,
            backdrop=self._files.upload(call.job_id, "background") if "backdrop" in call.params else None,
        )

    def _render_request(self, call: Call) -> "RenderRequest":
        from app.rendering.options import RenderOptions
        from app.rendering.renderer import RenderRequest

        return RenderRequest(
            avatar_id=call.avatar_id,
            audio=self._files.upload(call.job_id),
            options=read(RenderOptions, call.params),
            voice=self._files.upload(call.job_id, "voice") if call.params.get("voice") else None,
        )

    def _close(self) -> None:
        self._open = None
        self._opened.close()

    def _made_before(self, call: Call) -> Manifest:
        """Return the avatar that an earlier attempt finished before its process died, or an implicit one.

        Raises ``AvatarExists`` if the avatar is somebody else's.
        """
        manifest = self._store.manifest(call.avatar_id)
        if manifest.job == call.job_id or (is_one_call(call.params) and manifest.implicit):
            return manifest
        raise AvatarExists(f"There is already an avatar {call.avatar_id!r}; delete it or choose another id.")


def _warnings(call: Call, render: "OpenRender") -> list[Notice]:
    """Return what is known before the frames are made, of the avatar too if it is the job's own."""
    avatar = render.maker.avatar
    settled = {NoticeCode.ALPHA_FLATTENED, *([NoticeCode.HDR_MAPPED] if avatar.deep is not None else [])}
    own = [
        told for told in avatar.manifest.warnings if told["code"] not in settled
    ]  # the render's form decides
    return [*(own if is_one_call(call.params) else []), *render.notices]


def as_error(error: Exception, job_id: str) -> MouthpieceError:
    """Return what a call failed of, and log it; a caller never sees the words of an unforeseen error."""
    if isinstance(error, MouthpieceError):
        log.info("job_refused", code=error.code, detail=error.detail)
        return error
    log.exception("job_broke", exc_info=error)
    if isinstance(error, MemoryError):
        return TooMuchMemory("The job exceeds the memory limit; send a smaller file.")
    if isinstance(error, OSError) and (meant := meaning(error)):
        return meant
    return MouthpieceError(f"The job failed unexpectedly; the service's log says why, under job {job_id}.")
