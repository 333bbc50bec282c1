"""Checks of the model and of the volumes. They yield findings and raise nothing."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from app.avatars.store import AvatarStore
from app.doctor.finding import Finding
from app.errors import InvalidRequest, MouthpieceError
from app.settings import DEFAULT_MODEL, Settings
from app.volume import check_apart, room


def model(settings: Settings) -> Iterator[Finding]:
    """Say which model is loaded, and under which licence, or why it cannot be."""
    from app.mouths.model import open_model

    try:
        info = open_model(
            settings.model_path,
            None if settings.dtype == "auto" else settings.dtype,
            settings.first_device,
            cache_dir=settings.data_dir / "cache",
        ).info
    except MouthpieceError as error:
        if settings.model:
            remedy = "unset MOUTHPIECE_MODEL to use the bundled model, or name another .pth or .onnx file"
        else:
            remedy = f"MOUTHPIECE_MODELS_DIR=the folder that holds {DEFAULT_MODEL}"
        yield Finding("model", "problem", error.detail, remedy)
        return
    rights = "" if info.commercial_use else "; not for commercial use"
    yield Finding(
        "model",
        "good",
        f"{info.name} ({settings.model_path}), sha256 {info.sha256}, runs on {info.device} with "
        f"{info.engine} in {info.dtype}; licence: {info.licence}{rights}",
    )


def volumes(settings: Settings) -> Iterator[Finding]:
    """Compare the room on the volumes with what they may need; say if they are not apart."""
    try:
        check_apart(settings)
    except InvalidRequest as error:
        yield Finding("folders", "problem", error.detail)
    folders = {"avatars": settings.avatars_dir, "data": settings.data_dir, "frames": settings.frames_dir}
    for subject, folder in folders.items():
        if folder is None:
            continue
        existing = _nearest_existing(folder)
        if not existing.is_dir():
            yield Finding(
                subject,
                "problem",
                f"{existing} is not a folder",
                f"MOUTHPIECE_{subject.upper()}_DIR=another folder",
            )
            continue
        if not os.access(existing, os.W_OK):
            yield Finding(subject, "problem", f"{folder} is not writable", _giving(existing))
            continue
        free, needed = max(0, room(existing)), _appetite(settings, subject)
        found = f"{folder.absolute()}, {free / 1e9:.1f} GB free, may need up to {needed / 1e9:.1f} GB more"
        if free > needed:
            yield Finding(subject, "good", found)
        else:
            smaller = f", or {_smaller(settings, subject, free)}" if free else ""
            yield Finding(subject, "note", found, f"a larger volume{smaller}")


def avatars(settings: Settings) -> Iterator[Finding]:
    """Name avatars that cannot be used; of the others there is nothing to say."""
    store = AvatarStore(settings.avatars_dir)
    try:
        _, damaged = store.survey()
        closed = [path for path in map(_closed, store.root.glob("[!.]*/")) if path]
    except OSError as error:
        yield Finding("avatars", "problem", f"{settings.avatars_dir} cannot be read ({error.strerror})")
        return
    if closed:
        yield Finding("avatars", "problem", f"{closed[0]} cannot be read", _giving(settings.avatars_dir))
    elif damaged:
        detail = next(iter(damaged.values())).detail
        yield Finding("avatars", "note", detail, f"mouthpiece avatar rm {next(iter(damaged))}")


def _closed(folder: Path) -> Path | None:
    """Return a file of an avatar that this user may not read, or its folder."""
    if not os.access(folder, os.R_OK | os.X_OK):
        return folder
    return next((path for path in folder.iterdir() if not os.access(path, os.R_OK)), None)


def _giving(folder: Path) -> str:
    """Return the command that gives a folder to this user."""
    return f"sudo chown -R {os.getuid()}:{os.getgid()} {shlex.quote(str(folder))}"


def _smaller(settings: Settings, subject: str, free: int) -> str:
    """Return the setting for which this much space is enough."""
    if subject == _cache(settings):
        return f"MOUTHPIECE_FRAME_CACHE_BYTES={free * 3 // 4}"
    return f"MOUTHPIECE_MAX_UPLOAD_BYTES={free // 3}"


def _appetite(settings: Settings, subject: str) -> int:
    """Return how many more bytes a volume may need: the frame cache, or an upload and its result."""
    if subject != _cache(settings):
        return 2 * settings.max_upload_bytes
    there = AvatarStore(settings.avatars_dir).cache_bytes(settings.frames_dir)
    return max(0, settings.frame_cache_bytes - there)


def _cache(settings: Settings) -> str:
    """Return on which volume the decoded frames lie."""
    return "frames" if settings.frames_dir else "avatars"


def _nearest_existing(folder: Path) -> Path:
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder
