"""Judges a model on people that it was never trained on: does the mouth follow the speech, and nothing else?

As the service does it, another frame of the clip is re-rendered with a moment's sound: the upper half is that
frame's, and so is the reference, or the closed mouth that the service would choose for it. The clip's own
frame at that moment is the truth. Giving the model the true frame would look excellent and prove nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from app.audio.windows import WINDOW_COLUMNS, MelWindows, window_starts
from app.errors import InvalidRequest
from app.faces.closed_mouth import closed_references, head_affine
from app.mouths.mesh import CropMesh
from app.wav2lip.arrays import FaceCrops
from app.wav2lip.infer import Wav2LipInfer
from training.cache import Cache, Span
from training.measures import Apertures, apertures, follow, sharpness, similarity
from training.pack import BOX_SIDE, CROP_SIZE, FPS

SHIFTS: Final = (0, 5, 10)
"""Frames by which the sound is delayed: a mouth that follows it loses the truth."""
MAX_FRAMES: Final = 150
LEAST_FRAMES: Final = 20
"""Frames of a clip that are judged at most, and that it must have."""
JUDGED_SIZE: Final = 96
"""Pixels to which larger faces are shrunk before they are judged: a pack shows no more of them."""
_SILENCE: Final = -4.0
_SHUT_SHARE: Final = 0.05

FrameOrder = npt.NDArray[np.intp]
"""int (n,): which frame of the clip is re-rendered at each moment."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Scores:
    """What was measured over the clips of one set."""

    clips: int
    frames: int
    partial: float
    """Partial correlation of the aperture with the true mouth, given the reference's."""
    typical: float
    """Median of the same over single clips: in the other number few wide mouths outweigh many small ones."""
    leak: float
    """Weight of the reference's own mouth."""
    lag: int
    """Frames by which the mouth comes late."""
    partial_5: float
    partial_10: float
    """The same with the sound delayed by 5 and 10 frames: about 0 if the mouth follows the sound."""
    silence: float
    """Mean aperture on silence, as a share of the same person's speaking."""
    shut: float
    """The same of the truth's most shut mouths, a twentieth of each speaker's frames: the least to be seen.

    A mesh sees a gap between lips that touch, and who never stops speaking is never seen with a shut mouth.
    """
    amplitude: float
    """Deviation of the aperture over that of the true one."""
    sharpness: float
    similarity: float


@dataclass(frozen=True)
class Take:
    """One clip as the model rendered it."""

    span: Span
    order: FrameOrder
    truth: FaceCrops
    spoken: FaceCrops
    silent: FaceCrops
    opened: dict[str, Apertures]
    """Apertures of ``truth``, ``silent`` and each of the shifts."""


def evaluate(
    model: Wav2LipInfer, cache: Cache, spans: list[Span], progress: Progress | None = None
) -> tuple[dict[str, Scores], list[Take]]:
    """Render ``spans`` and return the scores of every set in them, and the takes.

    Only clips with sound in sync count; there must be one.
    """
    takes = []
    mesh = CropMesh()
    for done, span in enumerate(spans, start=1):
        takes.append(_take(model, cache, span, mesh))
        if progress:
            progress(done, len(spans))
    by_set: dict[str, list[Take]] = defaultdict(list)
    for take in takes:
        by_set[take.span.clip.set].append(take)
    return {name: _score(members) for name, members in sorted(by_set.items())}, takes


def judged(spans: list[Span], per_speaker: int) -> list[Span]:
    """Return the clips to judge on: with sound in sync, at most ``per_speaker`` of each speaker.

    Raises InvalidRequest if there are none.
    """
    chosen: list[Span] = []
    counts: Counter[str] = Counter()
    for span in spans:
        if span.clip.synced and span.mel_columns >= WINDOW_COLUMNS and span.frames >= LEAST_FRAMES:
            counts[span.clip.group] += 1
            if counts[span.clip.group] <= per_speaker:
                chosen.append(span)
    if not chosen:
        raise InvalidRequest(
            "No clip is held out that has sound in sync: name speakers under held_out in the recipe."
        )
    return chosen


def face_crops(cache: Cache, span: Span, size: int) -> FaceCrops:
    """Return the faces of a clip without the margin, ``size`` pixels wide and high."""
    affine = crop_in_pack(size)
    return np.stack([_cut(frame, affine, size) for frame in cache.frames_of(span)[:MAX_FRAMES]])


def crop_in_pack(size: int) -> npt.NDArray[np.float64]:
    """Map pixels of a face of ``size`` to pixels of a pack's crop."""
    scale = BOX_SIDE / size
    offset = (CROP_SIZE - BOX_SIDE) / 2 + scale / 2 - 0.5
    return np.array([[scale, 0, offset], [0, scale, offset]])


def closed_faces(cache: Cache, span: Span, size: int) -> FaceCrops:
    """Return for every frame the closed-mouth reference that the service would give it."""
    landmarks = cache.mesh_of(span)[:MAX_FRAMES, :, :2].astype(np.float32) * CROP_SIZE - 0.5
    frames = cache.frames_of(span)
    references = closed_references(landmarks)
    faces = []
    for own, chosen in zip(landmarks, references, strict=True):
        to_reference = head_affine(own, landmarks[chosen])
        affine = to_reference @ np.vstack([crop_in_pack(size), [0, 0, 1]])
        faces.append(_cut(frames[chosen], affine, size))
    return np.stack(faces)


def mel_windows(cache: Cache, span: Span, frames: int, offset_ms: float) -> MelWindows:
    """Return the windows of a clip's first frames, silence beyond its ends."""
    times = (np.arange(frames) + span.clip.sync_offset_frames) / FPS
    starts = window_starts(times, offset_ms)
    columns = starts[:, None] + np.arange(WINDOW_COLUMNS)
    inside = (columns >= 0) & (columns < span.mel_columns)
    mel = np.asarray(cache.mel[span.mel_start : span.mel_start + span.mel_columns], np.float32)
    windows = np.where(inside[..., None], mel[np.clip(columns, 0, span.mel_columns - 1)], _SILENCE)
    return np.ascontiguousarray(windows.transpose(0, 2, 1), np.float32)


def heard_frames(span: Span, offset_ms: float) -> int:
    """Return how many of a clip's first frames are judged: those whose windows end before its sound does.

    In the others a model hears silence where the person still spoke, and is blamed for it.
    """
    times = (np.arange(min(span.frames, MAX_FRAMES)) + span.clip.sync_offset_frames) / FPS
    ends = window_starts(times, offset_ms) + WINDOW_COLUMNS
    return max(int(np.count_nonzero(ends <= span.mel_columns)), 2)


def _take(model: Wav2LipInfer, cache: Cache, span: Span, mesh: CropMesh) -> Take:
    size, aspect = model.face_size, span.clip.aspect
    count = heard_frames(span, model.card.mouth_offset_ms)
    own = face_crops(cache, span, size)[:count]
    order = (np.arange(count) + (25 if count >= 60 else max(1, count // 2))) % count
    crops = own[order]
    references = closed_faces(cache, span, size)[order] if model.card.reference == "closed" else crops
    windows = mel_windows(cache, span, count, model.card.mouth_offset_ms)

    def spoken(sound: MelWindows) -> FaceCrops:
        return _as_judged(model.render(sound, crops, references))

    truth = _as_judged(own)
    rendered = {str(shift): spoken(_delayed(windows, shift)) for shift in SHIFTS}
    silent = spoken(np.full_like(windows, _SILENCE))
    opened = {
        name: apertures(mesh.fit(with_margin(faces), aspect)[0], aspect)
        for name, faces in {**rendered, "silent": silent, "truth": truth}.items()
    }
    return Take(span, order, truth, rendered["0"], silent, opened)


def _delayed(windows: MelWindows, shift: int) -> MelWindows:
    return windows[np.clip(np.arange(len(windows)) - shift, 0, None)]


def _as_judged(faces: FaceCrops) -> FaceCrops:
    size = (JUDGED_SIZE, JUDGED_SIZE)
    if faces.shape[1] <= JUDGED_SIZE:
        return faces
    return np.stack([cv2.resize(face, size, interpolation=cv2.INTER_AREA) for face in faces])


def with_margin(faces: FaceCrops) -> FaceCrops:
    """Enlarge faces to a pack's crop, the border repeated: what the mesh was measured on."""
    size = faces.shape[1]
    inverse = cv2.invertAffineTransform(crop_in_pack(size))
    return np.stack([_cut(face, inverse, CROP_SIZE) for face in faces])


def _cut(picture: npt.NDArray[np.uint8], affine: npt.NDArray[np.float64], size: int) -> FaceCrops:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    face: FaceCrops = cv2.warpAffine(
        np.asarray(picture), affine, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return face


def _score(takes: list[Take]) -> Scores:
    def followed(shift: int) -> list[tuple[Apertures, Apertures, Apertures]]:
        return [(t.opened["truth"], t.opened[str(shift)], t.opened["truth"][t.order]) for t in takes]

    plain = follow(followed(0))
    spoken = np.concatenate([take.opened["0"] for take in takes])
    true = np.concatenate([take.opened["truth"] for take in takes])
    return Scores(
        clips=len(takes),
        frames=len(spoken),
        partial=plain.partial,
        typical=float(np.median([follow([clip]).partial for clip in followed(0)])),
        leak=plain.leak,
        lag=plain.lag,
        partial_5=follow(followed(5)).partial,
        partial_10=follow(followed(10)).partial,
        silence=float(np.concatenate([take.opened["silent"] for take in takes]).mean() / true.mean()),
        shut=_shut(takes) / float(true.mean()),
        amplitude=float(
            np.mean([t.opened["0"].std() for t in takes]) / np.mean([t.opened["truth"].std() for t in takes])
        ),
        sharpness=sharpness(
            np.concatenate([t.spoken for t in takes]), np.concatenate([t.truth for t in takes])
        ),
        similarity=float(np.mean([similarity(t.spoken, t.truth) for t in takes])),
    )


def _shut(takes: list[Take]) -> float:
    """Return the mean aperture of the speakers' most shut mouths, each speaker as often as they are seen."""
    by_speaker: dict[str, list[Apertures]] = defaultdict(list)
    for take in takes:
        by_speaker[take.span.clip.group].append(take.opened["truth"])
    seen = [np.concatenate(parts) for parts in by_speaker.values()]
    least = [np.sort(part)[: max(1, round(_SHUT_SHARE * len(part)))].mean() for part in seen]
    return float(np.average(least, weights=[len(part) for part in seen]))
