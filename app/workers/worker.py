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
from typing import Any, Self

import structlog

from app import __version__
from app.avatars.builder import AvatarRequest, compile_networks
from app.avatars.manifest import Manifest
from app.avatars.options import AvatarOptions
from app.avatars.store import AvatarStore
from app.decoding.apart import DecoderApart
from app.errors import (
    AvatarDamaged,
    AvatarDeleted,
    AvatarExists,
    AvatarNotFound,
    JobCanceled,
    MouthpieceError,
)
from app.jobs.files import DataFolder
from app.jobs.job import is_one_call
from app.jobs.pool import Answer, Call
from app.media.files import replacing
from app.notices import Notice, NoticeCode
from app.options import read
from app.progress import Alive, Progress
from app.rendering.opened import OpenRender
from app.rendering.options import RenderOptions
from app.rendering.receipt import write_receipt
from app.rendering.renderer import RenderRequest
from app.rendering.stages import note_stages
from app.settings import Settings
from app.wav2lip.devices import cuda_devices
from app.workshop import Workshop

log = structlog.stdlib.get_logger(__name__)


class _GaveWay(Exception):
    """Ends an encoding between two segments."""


class Worker:
    """See the module. One call at a time."""

    def __init__(self, settings: Settings, workshop: Workshop) -> None:
        self._files = DataFolder(settings.data_dir)
        self._store = AvatarStore(settings.avatars_dir)
        self._workshop = workshop
        self._open: tuple[str, OpenRender] | None = None
        self._opened = ExitStack()

    @classmethod
    def load(cls, settings: Settings, decoding: "Popen[bytes]") -> Self:
        """Load and warm up the model; ``decoding`` starts decoders. Raises ``ModelError``."""
        decoder = DecoderApart(decoding, settings)
        workshop = Workshop.open(settings, decoder)
        workshop.infer.warm_up()
        decoder.load()
        Thread(target=compile_networks, name="networks").start()  # else the first video waits for it
        return cls(settings, workshop)

    @property
    def model(self) -> Mapping[str, Any]:
        """What is to be known of the model, by the fields of ``ModelInfo``.

        ``encoder`` is that of the videos, ``devices`` the number of GPUs in this machine, ``version`` this
        release.
        """
        info = self._workshop.infer.info
        devices = cuda_devices() if info.device.startswith("cuda") else 0
        encoder = self._workshop.renderer.encoder
        return asdict(info) | {"encoder": encoder, "devices": devices, "version": __version__}

    def do(self, call: Call, progress: Progress, gives_way: Callable[[], bool]) -> Answer:
        """Do a call. If it ``gives_way``, segments are encoded only until one more is there.

        Raises :class:`MouthpieceError`, ``DecoderDied`` and what nobody foresaw.
        """
        try:
            if call.method == "encode":
                return self.encode(call, progress, gives_way)
            method: Callable[[Call, Progress], Answer] = getattr(self, call.method)
            return method(call, progress)
        except Exception:
            self._close()
            raise

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
        return _made(manifest.frame_count if own else 0, manifest.duration, manifest.warnings)

    def check(self, call: Call, progress: Progress) -> Answer:
        """Report on a video of which an avatar might be made; answers as :meth:`build_avatar`."""
        workspace = self._files.workspace(call.job_id)
        found = self._workshop.builder.examine(self._avatar_request(call), workspace.sheet, progress)
        with replacing(workspace.report) as temporary:
            temporary.write_text(json.dumps(found.as_dict(), allow_nan=False), encoding="utf-8")
        return _made(found.frame_count, found.duration, found.warnings)

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
                "stage_seconds": _spent(render),
            }

    def encode(self, call: Call, progress: Progress, gives_way: Callable[[], bool]) -> Answer:
        """Encode segments; answers ``segments`` that are there now, ``frames_made`` and ``stage_seconds``."""
        with self._rendering(call, progress) as render:
            missing = [i for i in call.segments if not render.workspace.fragment(i).exists()]
            at_first: int | None = None

            def heard(done: int, total: int) -> None:
                """Pass progress on; end the work when it is to give way and one more segment is there."""
                nonlocal at_first
                progress(done, total)
                if gives_way():
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
                "stage_seconds": _spent(render),
            }

    def finish(self, call: Call, progress: Progress) -> Answer:
        """Join the segments, which all have to be there; answers ``stage_seconds`` and ``warnings``."""
        with self._rendering(call, progress) as render:
            alive = partial(progress, 0, 0)
            render.join(alive)
            spent = _spent(render)
            self._report(render, alive)
            warnings = [*_warnings(call, render), *render.last_notices()]
        self._close()
        return {"stage_seconds": spent, "warnings": warnings}

    def _report(self, render: OpenRender, alive: Alive) -> None:
        """Write the receipt of a render. It must not fail for that: what it is like can be seen otherwise."""
        info = self._workshop.infer.info
        try:
            write_receipt(render, {"name": info.name, "sha256": info.sha256}, alive)
        except JobCanceled:
            raise
        except Exception as error:
            log.exception("receipt_not_made", exc_info=error)

    @contextmanager
    def _rendering(self, call: Call, progress: Progress, *, anew: bool = False) -> Iterator[OpenRender]:
        """Open a render. The last one stays open, so that the next call for it costs nothing to begin.

        Raises ``AvatarDeleted`` for what goes wrong because the avatar is gone.
        """
        try:
            if self._open is None or self._open[0] != call.job_id:
                self._close()
                request, workspace = self._render_request(call), self._files.workspace(call.job_id)
                opening = self._workshop.renderer.open(request, workspace, partial(progress, 0, 0))
                self._open = call.job_id, self._opened.enter_context(opening)
            render = self._open[1]
            if not anew and not render.is_begun:
                raise MouthpieceError(
                    "The avatar was replaced meanwhile, or the workers differ in model, encoder or release; "
                    "try again once they match."
                )
            yield render
        except (AvatarNotFound, AvatarDamaged, OSError) as error:
            if self._store.exists(call.avatar_id):
                raise
            raise AvatarDeleted(
                f"The avatar {call.avatar_id!r} was deleted before the render finished."
            ) from error

    def _avatar_request(self, call: Call) -> AvatarRequest:
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

    def _render_request(self, call: Call) -> RenderRequest:
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


def _made(frames: int, seconds: float, warnings: list[Notice]) -> Answer:
    """Return what is said of a video of which so many frames were looked at."""
    return {"frames_made": frames, "media_seconds": seconds, "warnings": warnings}


def _spent(render: OpenRender) -> Mapping[str, float]:
    """Return how long each stage took since the last answer about a render, and note it beside that."""
    spent = render.maker.seconds.take()
    note_stages(render.workspace.stages, spent)
    return spent


def _warnings(call: Call, render: OpenRender) -> list[Notice]:
    """Return what is known before the frames are made, of the avatar too if it is the job's own."""
    avatar = render.maker.avatar
    settled = {NoticeCode.ALPHA_FLATTENED, *([NoticeCode.HDR_MAPPED] if avatar.deep is not None else [])}
    own = [
        told for told in avatar.manifest.warnings if told["code"] not in settled
    ]  # the render's form decides
    return [*(own if is_one_call(call.params) else []), *render.notices]
