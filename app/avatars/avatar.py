"""An avatar opened for rendering: arrays verified, frames ready to read."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self, cast

import numpy as np

from app.avatars.crops import BOXES, CROPS, LANDMARKS, MASKS, CropForm, FaceCutter, MouthMasks
from app.avatars.frame_cache import FrameCache
from app.avatars.manifest import ColorTags, Manifest
from app.avatars.store import (
    BACKDROP,
    DEEP_FRAMES,
    MANIFEST,
    SOURCE,
    TRANSPARENT_FRAMES,
    AvatarStore,
    make_way,
    own_file,
)
from app.errors import AvatarDamaged, AvatarDeleted, AvatarNotFound
from app.faces.types import Boxes, Landmarks
from app.media.decoder import HERE, Decoder
from app.media.digests import known_sha256, sha256_of
from app.media.files import replacing
from app.media.findings import Findings
from app.media.frame_file import FrameReader
from app.media.frames import Color, FrameLayout, I420Frame
from app.media.limits import VideoLimits
from app.media.pixel_aspect import needs_squaring
from app.media.treatment import PICTURE, Treatment
from app.mouths.meeting import meet
from app.mouths.person import Person
from app.mouths.study import STUDY, Study, stored_meshes, study_frames
from app.progress import Alive, nothing
from app.volume import is_file
from app.wav2lip.arrays import FaceCrops
from app.wav2lip.card import Reference

_UNLIMITED: Final = VideoLimits(max_seconds=1e9, max_pixels=2**31 - 1)
"""The source was within the limits when it came; it stays usable when the limits are lowered later."""


@dataclass(frozen=True)
class CutFaces:
    """Crops, references and masks of every frame, mapped from their files."""

    crops: FaceCrops
    references: FaceCrops
    """What the model may look at: the crops themselves, or faces whose mouth rests."""
    masks: MouthMasks


@dataclass(frozen=True)
class Avatar:
    """All that a render needs of an avatar; close it when done."""

    manifest: Manifest
    layout: FrameLayout
    boxes: Boxes
    landmarks: Landmarks
    study: Study
    frames: FrameReader
    faces: CutFaces | None
    """What was cut for the model; None for one that takes what it needs from the frames."""
    transparent: FrameReader | None = None
    """The frames with their transparency, laid onto nothing; None unless that was asked for, and there is."""
    deep: FrameReader | None = None
    """The frames with their high dynamic range; None unless that was asked for, and there is."""

    @cached_property
    def person(self) -> Person:
        """Whose mouths these are."""
        return meet(self.study, float(self.manifest.fps))

    def close(self) -> None:
        """Close the frames' files."""
        self.frames.close()
        for more in (self.transparent, self.deep):
            if more is not None:
                more.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_avatar(
    store: AvatarStore,
    cache: FrameCache,
    avatar_id: str,
    form: CropForm,
    alive: Alive = nothing,
    decoder: Decoder = HERE,
    *,
    transparent: bool = False,
    deep: bool = False,
) -> Avatar:
    """Open an avatar for a model that wants to be shown ``form``.

    ``transparent`` and ``deep`` ask for its frames with their transparency or range too, if it has any.
    What can be rebuilt is rebuilt: the frames from the source, the crops and masks (for another form too)
    from the frames; ``alive`` is called meanwhile. Raises :class:`AvatarNotFound`, :class:`AvatarDamaged`,
    :class:`AvatarDeleted`.
    """
    manifest, folder = store.manifest(avatar_id), store.path(avatar_id)
    check = partial(check_same, store, manifest)
    try:
        _check(folder, manifest, (BOXES, LANDMARKS))
        with ExitStack() as stack:
            decode = partial(_decode, decoder, folder, avatar_id, alive)
            frames = stack.enter_context(cache.open(manifest, partial(decode, manifest.treatment)))
            clear = wide = None
            if transparent and manifest.transparent:
                kept = partial(decode, replace(manifest.treatment, transparent=True))
                clear = stack.enter_context(cache.open(manifest, kept, TRANSPARENT_FRAMES))
            if deep and manifest.hdr:
                kept = partial(decode, replace(manifest.treatment, tone_map=False, deep=True))
                wide = stack.enter_context(cache.open(manifest, kept, DEEP_FRAMES))
            avatar = Avatar(
                manifest=manifest,
                layout=layout_of(manifest),
                boxes=np.load(folder / BOXES),
                landmarks=np.load(folder / LANDMARKS),
                study=_studied(folder, manifest, frames, alive, check),
                frames=frames,
                faces=None,
                transparent=clear,
                deep=wide,
            )
            if form.files:
                cut_for = CropForm(manifest.face_size, cast(Reference, manifest.reference))
                if cut_for != form or not _is_intact(folder, manifest, form.files):
                    avatar = replace(avatar, manifest=_recut(folder, avatar, form, alive, check))
                avatar = replace(avatar, faces=_faces(folder, form))
            check()
            stack.pop_all()
            return avatar
    except (FileNotFoundError, AvatarDamaged) as error:
        if not store.exists(avatar_id):
            raise AvatarDeleted(f"Avatar {avatar_id!r} has been deleted.") from None
        if isinstance(error, AvatarDamaged):
            raise
        raise AvatarDamaged(f"{error.filename} is missing; delete the avatar and create it again.") from error


def is_whole(store: AvatarStore, avatar_id: str) -> bool:
    """Return whether an avatar has, undamaged, all that would not come out the same if it were rebuilt.

    An implicit one whose pixels are not square, as of a release that left them so, is not what is asked for.
    Raises :class:`AvatarNotFound`, and ``OSError`` if it cannot be read now, which says nothing of it.
    """
    try:
        manifest, folder = store.manifest(avatar_id), store.path(avatar_id)
        if manifest.implicit and needs_squaring(manifest.sample_aspect_ratio):
            return False
        _check(folder, manifest, (BOXES, LANDMARKS))
        treatment = manifest.treatment
        if treatment.has_backdrop:
            backdrop = own_file(folder, BACKDROP, avatar_id)
            if PICTURE + sha256_of(backdrop) != treatment.background:
                return False
        if stored_meshes(folder / STUDY, manifest.frame_count) is None:
            return False  # all else in a study is measured again
        return sha256_of(own_file(folder, SOURCE, avatar_id)) == manifest.source.sha256
    except (AvatarDamaged, FileNotFoundError):
        return False


def _faces(folder: Path, form: CropForm) -> CutFaces:
    return CutFaces(
        crops=np.load(folder / CROPS, mmap_mode="r"),
        references=np.load(folder / form.shown, mmap_mode="r"),
        masks=np.load(folder / MASKS, mmap_mode="r"),
    )


def check_same(store: AvatarStore, manifest: Manifest) -> None:
    """Raise :class:`AvatarDeleted` if another avatar has this one's id by now: its files are others."""
    with suppress(AvatarNotFound):  # what is open of a deleted one is still its own
        if store.manifest(manifest.id).created_at != manifest.created_at:
            raise AvatarDeleted(f"Avatar {manifest.id!r} has been deleted, and another has its id.")


def _studied(
    folder: Path, manifest: Manifest, frames: FrameReader, alive: Alive, check: Callable[[], None]
) -> Study:
    """Return what was measured in every frame; measured now if it was not, or by another version.

    The meshes of another version stay: they are those by which the face was followed.
    """
    study = Study.load(folder / STUDY, manifest.frame_count)
    if study is None:
        boxes, landmarks = np.load(folder / BOXES), np.load(folder / LANDMARKS)
        meshes = stored_meshes(folder / STUDY, manifest.frame_count)
        layout, fps = layout_of(manifest), float(manifest.fps)
        study = study_frames(frames, layout, fps, boxes, landmarks, alive, meshes)
        check()
        if os.access(folder, os.W_OK):  # else it is studied again the next time
            make_way(folder / STUDY, manifest.id)
            with replacing(folder / STUDY) as temporary, temporary.open("wb") as file:
                study.save(file)
    return study


def layout_of(manifest: Manifest) -> FrameLayout:
    """Return the size and colour of an avatar's frames."""
    return FrameLayout(manifest.width, manifest.height, color_of(manifest.color))


def color_of(tags: ColorTags) -> Color:
    """Return the colour that was written down."""
    return Color(**asdict(tags))


def _decode(
    decoder: Decoder,
    folder: Path,
    avatar_id: str,
    alive: Alive,
    treatment: Treatment,
    file: Path,
    most_bytes: int,
) -> Iterator[I420Frame]:
    source = own_file(folder, SOURCE, avatar_id)
    backdrop = own_file(folder, BACKDROP, avatar_id) if treatment.has_backdrop else None
    info = decoder.probe(source, _UNLIMITED, treatment, alive)
    return decoder.frames(source, info, _UNLIMITED, file, most_bytes, Findings(), alive, backdrop)


def _is_intact(folder: Path, manifest: Manifest, names: tuple[str, ...]) -> bool:
    return all(
        is_file(folder / name) and known_sha256(folder / name) == manifest.checksums.get(name)
        for name in names
    )


def _check(folder: Path, manifest: Manifest, names: tuple[str, ...]) -> None:
    if not _is_intact(folder, manifest, names):
        raise AvatarDamaged(
            f"A file of avatar {manifest.id!r} ({', '.join(names)}) does not match its manifest; "
            "delete the avatar and create it again."
        )


def _recut(folder: Path, avatar: Avatar, form: CropForm, alive: Alive, check: Callable[[], None]) -> Manifest:
    """Cut the crops and masks again, and write down their size and checksums."""
    manifest = avatar.manifest
    for name in form.files:
        make_way(folder / name, manifest.id)
    cutter = FaceCutter(avatar.layout, avatar.frames, avatar.boxes, avatar.landmarks, avatar.person, alive)
    cutter.write(folder, form)
    checksums = manifest.checksums | {name: sha256_of(folder / name) for name in form.files}
    manifest = replace(manifest, face_size=form.size, reference=form.reference, checksums=checksums)
    check()
    with replacing(folder / MANIFEST) as temporary:
        temporary.write_text(manifest.to_json(), encoding="utf-8")
    return manifest
