"""From a video to an avatar: decode, track the face, cut crops and masks; all or nothing."""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from threading import Event, Thread
from typing import Final

import numpy as np

from app.avatars.arrays import copy_hashed, save_rows
from app.avatars.crops import BOXES, LANDMARKS, CropForm, FaceCutter
from app.avatars.doubts import doubts_of
from app.avatars.examination import Examination, examined
from app.avatars.frame_cache import FrameCache
from app.avatars.manifest import ColorTags, FaceOptions, Manifest, Source, check_avatar_id
from app.avatars.options import AvatarOptions
from app.avatars.preview import picture_of, write_faces, write_preview
from app.avatars.store import BACKDROP, MANIFEST, PREVIEW, SOURCE, AvatarStore
from app.avatars.turning import find_turn, turn_of
from app.avatars.warned import avatar_notices
from app.errors import NoFace
from app.faces.agreed import AgreedFinder
from app.faces.detector import FaceDetector
from app.faces.face_mesh import FaceMesh
from app.faces.tracking import track_face
from app.faces.types import Boxes, FaceChoice, FaceTrack, Pads, has_face
from app.media.decoder import HERE, Decoder
from app.media.digests import sha256_of
from app.media.findings import Findings
from app.media.frame_file import FrameReader
from app.media.limits import VideoLimits
from app.media.probe import VideoInfo
from app.media.tone_mapping import HLG, PQ
from app.media.treatment import AS_SERVED, PICTURE, Treatment
from app.mouths.ahead import StudyAhead
from app.mouths.lips_apart import LipsApart
from app.mouths.meeting import meet
from app.mouths.notes import Notes
from app.mouths.study import STUDY, Study, study_frames
from app.progress import Alive, Progress, Repeated
from app.volume import check_room

_UNKNOWN_SECONDS: Final = 60
"""What is studied ahead at most of a video that does not say how long it is."""

_ALIVE_SECONDS: Final = 0.5
"""How often whoever waits for the copy of a video tells that it is alive."""

Check = Callable[[Manifest, Boxes], None]
"""Raises what stands against an avatar, of which it sees the manifest and the face boxes."""


@dataclass(frozen=True)
class AvatarRequest:
    """What an avatar is made of: the id it gets, the video, and how to find and box the face in it."""

    id: str
    video: Path
    filename: str
    options: AvatarOptions = field(default_factory=AvatarOptions)
    implicit: bool = False
    """Whether nobody asked for it; see :class:`Manifest`."""
    job: str | None = None
    """The job that makes it."""
    backdrop: Path | None = None
    """A picture to lie behind transparent footage, instead of the options' ``background``."""

    @cached_property
    def treatment(self) -> Treatment:
        """What is done to the pictures, as far as it is known before a face was searched for."""
        background = PICTURE + sha256_of(self.backdrop) if self.backdrop else self.options.background
        return replace(AS_SERVED, rotate=self.options.rotate or 0, background=background)


@dataclass(frozen=True)
class _Followed:
    """A video whose face was followed."""

    info: VideoInfo
    track: FaceTrack
    findings: Findings
    notes: Notes


@dataclass(frozen=True)
class _Seen:
    """A video that was looked at, whole."""

    info: VideoInfo
    track: FaceTrack
    findings: Findings
    notes: Notes
    frames: FrameReader
    cached: Path
    """The file of its frames."""
    alive: Alive

    @cached_property
    def study(self) -> Study:
        """What is measured in its frames."""
        track = self.track
        return study_frames(
            self.frames,
            self.info.layout,
            float(self.info.fps),
            track.boxes,
            track.landmarks,
            self.alive,
            track.meshes,
            track.cuts,
            self.notes,
        )


@dataclass(frozen=True)
class AvatarBuilder:
    """Makes avatars for models that want to be shown ``form``."""

    store: AvatarStore
    cache: FrameCache
    form: CropForm
    limits: VideoLimits
    detector: FaceDetector
    decoder: Decoder = HERE

    def build(
        self,
        request: AvatarRequest,
        progress: Progress,
        check: Check = lambda manifest, boxes: None,
        info: VideoInfo | None = None,
    ) -> Manifest:
        """Make the avatar and return its manifest.

        ``check`` sees it before it is kept; ``info`` is what a probe of the video said, if there was one.
        Raises :class:`AvatarExists`, :class:`NotAVideo`,
        :class:`NoFace`, :class:`LimitExceeded` or what ``progress`` and ``check`` raise; then nothing of the
        avatar is left on the volume.
        """
        check_avatar_id(request.id)
        told = Repeated(progress)
        with self.store.create(request.id, told.again) as folder:
            check_room(folder, request.video.stat().st_size)
            with (
                _copying(request.video, folder / SOURCE, told.again) as copied,
                self._look(request, folder, told, info) as seen,
                ThreadPoolExecutor(1, "preview") as drawing,
            ):
                info, track, alive, count = seen.info, seen.track, seen.alive, len(seen.track.boxes)
                preview = drawing.submit(_write_preview, folder, seen, leaning=self.form.leaning)
                person = meet(seen.study, float(info.fps))
                if request.backdrop:
                    shutil.copyfile(request.backdrop, folder / BACKDROP)
                check_room(folder, count * self.form.frame_bytes)
                if self.form.files:
                    cutter = FaceCutter(info.layout, seen.frames, track.boxes, track.landmarks, person, alive)
                    cutter.write(folder, self.form)
                with (folder / STUDY).open("wb") as file:
                    seen.study.save(file)
                save_rows(folder / BOXES, count, track.boxes)
                save_rows(folder / LANDMARKS, count, track.landmarks)
                _wait_for(copied, alive)
                preview.result()
                manifest = self._manifest(request, info, track, folder, copied.result())
                check(manifest, track.boxes)
                manifest = replace(
                    manifest,
                    transparent=seen.findings.transparent > 0,
                    hdr=self._hdr(request, seen, alive),
                    warnings=avatar_notices(
                        info,
                        seen.findings,
                        track,
                        doubts_of(track, seen.study, person, (info.layout.width, info.layout.height)),
                        _turned(request, info),
                    ),
                )
                (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
                self.cache.keep(seen.cached, manifest)
        return manifest

    def examine(self, request: AvatarRequest, sheet: Path, progress: Progress) -> Examination:
        """Return how well the person in a video will speak, and store nothing but a contact sheet.

        Raises what :meth:`build` raises of a video of which no avatar can be made.
        """
        with self.store.scratch() as folder, self._look(request, folder, progress) as seen:
            write_faces(sheet, seen.frames, seen.info, seen.track, leaning=self.form.leaning)
            turned = _turned(request, seen.info)
            return examined(seen.info, seen.track, seen.study, seen.frames, seen.findings, turned)

    def _hdr(self, request: AvatarRequest, seen: "_Seen", alive: Alive) -> ColorTags | None:
        """Return the colour of a video of a high dynamic range; None if it begins without."""
        if not seen.findings.tone_mapped:
            return None
        untouched = replace(seen.info.treatment, tone_map=False)
        color = self.decoder.probe(request.video, self.limits, untouched, alive).layout.color
        return ColorTags(**asdict(color)) if color.transfer in (PQ, HLG) else None

    @contextmanager
    def _look(
        self, request: AvatarRequest, folder: Path, progress: Progress, info: VideoInfo | None = None
    ) -> Iterator["_Seen"]:
        """Decode a video beside ``folder``, and follow its face."""
        Thread(target=compile_networks, name="networks").start()
        info = info or self.decoder.probe(
            request.video, self.limits, request.treatment, partial(progress, 0, 0)
        )
        needed = info.frame_count * info.layout.frame_bytes
        with self.cache.adding(needed, folder) as cached:
            cached.touch()
            followed = self._find_face(request, info, cached, progress)
            self.cache.make_room(cached.stat().st_size, keep=None)
            info, track = followed.info, followed.track
            with FrameReader(cached, info.layout.frame_bytes) as frames:
                alive = partial(progress, len(track.boxes), len(track.boxes))
                yield _Seen(info, track, followed.findings, followed.notes, frames, cached, alive)

    def _find_face(
        self, request: AvatarRequest, info: VideoInfo, cached: Path, progress: Progress
    ) -> _Followed:
        """Follow the face, in the video turned upright if need be, unless it is lost there."""
        found = False
        try:
            followed = self._follow_face(request, info, cached, progress)
            turn = 0 if request.options.rotate is not None else turn_of(followed.track.landmarks)
            if not turn:
                return followed
            found = True
            del followed  # some 6 KB a frame, which another pass needs
        except NoFace as error:
            if error.seen or request.options.rotate is not None:
                raise
            count = cached.stat().st_size // info.layout.frame_bytes
            with FrameReader(cached, info.layout.frame_bytes) as frames:
                alive = partial(progress, 0, 0)  # how much is left is not known: all begins again, or ends
                turn = find_turn(frames, count, info.layout, self.detector, alive)
            if not turn:
                raise
        treatment = replace(info.treatment, rotate=turn)
        turned = self.decoder.probe(request.video, self.limits, treatment, partial(progress, 0, 0))
        try:
            return self._follow_face(request, turned, cached, progress)
        except NoFace:
            if not found:
                raise
        return self._follow_face(request, info, cached, progress)

    def _follow_face(
        self, request: AvatarRequest, info: VideoInfo, cached: Path, progress: Progress
    ) -> _Followed:
        """Follow the face, and study it as far as that can be done meanwhile."""
        findings, told = Findings(), Repeated(progress)
        expected = info.frame_count if info.duration else round(_UNKNOWN_SECONDS * info.fps)
        with (
            FrameReader(cached, info.layout.frame_bytes) as written,
            StudyAhead(written, info.layout, float(info.fps), expected) as ahead,
        ):
            track = track_face(
                self.decoder.frames(
                    request.video,
                    info,
                    self.limits,
                    cached,
                    self.cache.budget,
                    findings,
                    told.again,
                    request.backdrop,
                ),
                info.layout,
                fps=float(info.fps),
                choice=FaceChoice(request.options.face),
                pads=Pads(*request.options.pads),
                smoothing=request.options.smoothing,
                detector=self.detector,
                expected_frames=info.frame_count,
                progress=told,
                settled=ahead.take,
            )
        return _Followed(info, track, findings, ahead.notes)

    def _manifest(
        self, request: AvatarRequest, info: VideoInfo, track: FaceTrack, folder: Path, sha256: str
    ) -> Manifest:
        pads = Pads(*request.options.pads)
        return Manifest(
            id=request.id,
            width=info.layout.width,
            height=info.layout.height,
            fps=info.fps,
            sample_aspect_ratio=info.sample_aspect_ratio,
            frame_count=len(track.boxes),
            face_frames=track.face_frames,
            face_size=self.form.size,
            reference=self.form.reference,
            color=ColorTags(**asdict(info.layout.color)),
            face=FaceOptions(
                choice=request.options.face,
                pads=(pads.top, pads.bottom, pads.left, pads.right),
                smoothing=request.options.smoothing,
                detector=track.detector,
            ),
            source=Source(sha256=sha256, filename=request.filename),
            created_at=datetime.now(UTC),
            treatment=info.treatment,
            implicit=request.implicit,
            job=request.job,
            checksums={name: sha256_of(folder / name) for name in (BOXES, LANDMARKS, *self.form.files)},
        )


def _turned(request: AvatarRequest, info: VideoInfo) -> int:
    """Return by how many degrees a video was turned to make its face upright; 0 if its sender turned it."""
    return info.treatment.rotate if request.options.rotate is None else 0


def compile_networks() -> None:
    """Compile the networks that follow and study faces, once a process: once a worker has its model."""
    FaceMesh()
    AgreedFinder()
    LipsApart()


@contextmanager
def _copying(source: Path, target: Path, alive: Alive) -> Iterator[Future[str]]:
    """Copy a file meanwhile, and give what will be its SHA-256; a block that fails ends the copy."""
    stopped = Event()
    with ThreadPoolExecutor(1, "source") as copying:
        copied = copying.submit(copy_hashed, source, target, stopped)
        try:
            yield copied
        finally:
            stopped.set()
            _wait_for(copied, alive)


def _wait_for(work: Future[str], alive: Alive) -> None:
    """Wait until another thread has made something, or failed to."""
    while not wait([work], _ALIVE_SECONDS).done:
        alive()


def _write_preview(folder: Path, seen: _Seen, *, leaning: bool) -> None:
    """Draw the frame in the middle of those that have a face."""
    with_face = np.flatnonzero(has_face(seen.track.boxes))
    index = int(with_face[len(with_face) // 2])
    write_preview(folder / PREVIEW, picture_of(seen.frames, seen.info, seen.track, index, leaning=leaning))
