"""Avatars for tests: manifests made up, and real ones built of the moving portrait."""

from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

from app.avatars.builder import AvatarBuilder
from app.avatars.crops import CropForm
from app.avatars.frame_cache import FrameCache
from app.avatars.manifest import ColorTags, FaceOptions, Manifest, Source
from app.avatars.store import MANIFEST, AvatarStore
from app.faces.detector import load_detector
from app.media.limits import VideoLimits

FORM = CropForm(96)
LIMITS = VideoLimits(max_seconds=60, max_pixels=1 << 22)


def made_up_manifest(
    avatar_id: str = "anna", *, frame_count: int = 3, size: tuple[int, int] = (4, 2)
) -> Manifest:
    """Return a manifest of an avatar that no video was needed for."""
    return Manifest(
        id=avatar_id,
        width=size[0],
        height=size[1],
        fps=Fraction(30000, 1001),
        sample_aspect_ratio=Fraction(1),
        frame_count=frame_count,
        face_frames=2,
        face_size=96,
        reference="frame",
        color=ColorTags("bt709", "limited", 1, 1, 1),
        face=FaceOptions("largest", (0.0, 0.05, 0.0, 0.0), 0.2, "blazeface"),
        source=Source("ab" * 32, "anna.mp4"),
        created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        checksums={"coords.npy": "cd" * 32},
    )


def put_made_up(store: AvatarStore, manifest: Manifest) -> Path:
    """Store an avatar that is only its manifest; return its folder."""
    with store.create(manifest.id) as folder:
        (folder / MANIFEST).write_text(manifest.to_json())
    return store.path(manifest.id)


def builder(root: Path, *, form: CropForm = FORM, cache_bytes: int = 1 << 30) -> AvatarBuilder:
    """Return a builder whose avatars lie below ``root``."""
    store = AvatarStore(root)
    return AvatarBuilder(store, FrameCache(store, cache_bytes), form, LIMITS, load_detector("blazeface"))


def no_progress(done: int, total: int) -> None:
    """Ignore the progress."""
