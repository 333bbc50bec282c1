"""What shape the mouth of each frame of a result is to have: heard, or read off generated faces."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from app.audio.loudness import BLOCK_SECONDS, loudness_of
from app.audio.windows import FrameTimes, MelTrack
from app.avatars.avatar import Avatar
from app.faces.types import has_face
from app.media.sound import Sound
from app.mouths.adaptation import Adaptation, adapt, shut
from app.mouths.ear import Ear, Heard, SpeechShares
from app.mouths.mesh import LEAST_PRESENCE, CropMesh, MeshPoints
from app.mouths.person import Person
from app.mouths.space import COMPONENTS, MOST_TEETH, TEETH_UNITS, Meshes, MouthShapes, components_of
from app.mouths.teeth import shown_teeth
from app.mouths.types import Numbers
from app.progress import Alive, nothing
from app.rendering.timeline import Timeline
from app.wav2lip.arrays import FaceCrops
from app.wav2lip.infer import Wav2LipInfer

LISTENED_SECONDS: Final = 20.0
"""How much of a sound's beginning tells how its speaker opens, on the whole."""
LISTENED_RATE: Final = 25.0

ENOUGH_SPEECH: Final = 4.0
"""Seconds of speech that tell it. Where the beginning has fewer, after a jingle or a long silence, pieces of
what follows are listened to."""
PIECE_SECONDS, PIECES, PIECES_APART = 2.0, 10, 3
"""Length of these pieces, how many there are at most, which takes half a CPU second, and that so many go from
one to the next, as long as there are others: they reach a minute far, not counting what is silent."""

HELD_BEFORE, HELD_AFTER, PARTED_SECONDS, HELD_RATE = 0.2, 1.0, 0.4, 12.5
"""How long before and after speech lips that are parted at rest are held together, how long it takes to bring
them together or apart, seconds, and how often a second speech is looked for. Set by eye."""


@dataclass(frozen=True)
class Asked:
    """What is asked of the mouths of some frames."""

    shapes: MouthShapes
    """By how much they leave ``rest``."""
    speech: SpeechShares
    """1 where nobody listens for speech."""
    rest: MouthShapes
    """How drawn mouths are between words, from the person's rest: lips that are parted there meet."""


class Wanted(Protocol):
    """Tells the shapes that mouths are to have; one thread at a time may ask, as a ``ScoreBook`` does."""

    def ask(self, indices: Sequence[int], alive: Alive = nothing) -> Asked:
        """Return what is asked of result frames ``indices``, which follow each other.

        What is told of a frame does not depend on which others are asked for. ``alive`` is called meanwhile.
        """


class HeardShapes:
    """What is heard, brought to how this person opens."""

    def __init__(self, person: Person, ear: Ear, sound: Sound, timeline: Timeline, offset_ms: float) -> None:
        """``offset_ms`` > 0 has the mouth move later."""
        self._person, self._ear, self._sound = person, ear, sound
        self._timeline, self._offset = timeline, offset_ms / 1000
        self._adaptation: Adaptation | None = None

    def ask(self, indices: Sequence[int], alive: Alive = nothing) -> Asked:
        """See :class:`Wanted`."""
        times = np.array([self._timeline.time(index) for index in indices])
        if self._adaptation is None:
            heard = hear_early(self._ear, self._sound, alive)
            self._adaptation = adapt(self._person, heard, self._ear.average_range)
        sources = [self._timeline.avatar_frame(index) for index in indices]
        silent = self._person.silent[sources]
        ajar = self._person.ajar[sources] if self._person.silent.any() else np.zeros(len(sources))
        heard = self._ear.hear(self._sound, times - self._offset, alive)
        rest = shut(ajar * self._near_speech(times - self._offset, alive) if ajar.any() else ajar)
        return Asked(self._adaptation(heard, silent), heard.speech * heard.near, rest)

    def _near_speech(self, times: FrameTimes, alive: Alive) -> Numbers:
        """Return for each time how near speech is, 0..1."""
        earliest = times[0] - HELD_AFTER - PARTED_SECONDS
        latest = times[-1] + HELD_BEFORE + PARTED_SECONDS
        grid = np.arange(np.floor(earliest * HELD_RATE), np.ceil(latest * HELD_RATE) + 1) / HELD_RATE
        speech = self._ear.hear(self._sound, grid, alive).speech
        since = times[:, None] - grid
        apart = np.maximum(since - HELD_AFTER, -HELD_BEFORE - since)
        near = np.clip(1 - apart / PARTED_SECONDS, 0, 1)
        nearness: Numbers = (near * near * (3 - 2 * near) * speech).max(axis=1)
        return nearness


def hear_early(ear: Ear, sound: Sound, alive: Alive = nothing) -> Heard:
    """Return what tells how the speaker of a sound opens, by the sound alone; ``alive`` is called meanwhile.

    See :data:`LISTENED_SECONDS` and :data:`ENOUGH_SPEECH`.
    """
    seconds = min(LISTENED_SECONDS, sound.duration)
    early = np.arange(max(1, round(seconds * LISTENED_RATE))) / LISTENED_RATE
    heard = [ear.hear(sound, early, alive)]
    places = _loud_pieces(sound, alive) if _speech_seconds(heard) < ENOUGH_SPEECH else []
    piece = np.arange(round(PIECE_SECONDS * LISTENED_RATE)) / LISTENED_RATE
    apart = [place for first in range(PIECES_APART) for place in places[first::PIECES_APART]]
    for place in apart[:PIECES]:
        heard.append(ear.hear(sound, place + piece, alive))
        if _speech_seconds(heard) >= ENOUGH_SPEECH:
            break
    return Heard(
        opening=np.concatenate([each.opening for each in heard]),
        shapes=np.concatenate([each.shapes for each in heard]),
        speech=np.concatenate([each.speech for each in heard]),
        near=np.concatenate([each.near for each in heard]),
    )


def _speech_seconds(heard: Sequence[Heard]) -> float:
    return sum(float(each.speech.sum()) for each in heard) / LISTENED_RATE


def _loud_pieces(sound: Sound, alive: Alive) -> list[float]:
    """Return where, behind the beginning, pieces start that are loud for a quarter or more; seconds."""
    if sound.duration <= LISTENED_SECONDS:
        return []
    blocks = loudness_of(sound, alive).loud[round(LISTENED_SECONDS / BLOCK_SECONDS) :]
    each = round(PIECE_SECONDS / BLOCK_SECONDS)
    loud = blocks[: len(blocks) // each * each].reshape(-1, each).mean(axis=1) >= 0.25
    places: list[float] = (LISTENED_SECONDS + PIECE_SECONDS * np.flatnonzero(loud)).tolist()
    return places


class GeneratedShapes:
    """What a Wav2Lip model's mouths look like, and nothing of their pixels.

    A mesh is fitted to each generated face and to the face of the footage that it was made of; by how much
    the first differs is added to the footage's own shape, so that what a small picture does to a mesh
    cancels out.
    """

    def __init__(
        self, infer: Wav2LipInfer, avatar: Avatar, mel: MelTrack, timeline: Timeline, offset_ms: float
    ) -> None:
        """``offset_ms`` > 0 has the mouth move later."""
        assert avatar.faces is not None
        self._infer, self._avatar, self._faces = infer, avatar, avatar.faces
        self._mel, self._timeline, self._offset_ms = mel, timeline, offset_ms
        self._mesh = CropMesh()

    def ask(self, indices: Sequence[int], alive: Alive = nothing) -> Asked:
        """Return the shapes of result frames, those of neighbours mixed in: a mesh trembles."""
        first, last = max(indices[0] - 1, 0), min(indices[-1] + 1, self._timeline.frame_count - 1)
        single = self._single(range(first, last + 1), alive)
        padded = np.pad(single, ((1, 1), (0, 0)), mode="edge")
        smooth = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
        start = indices[0] - first
        shapes = smooth[start : start + len(indices)].astype(np.float32)
        return Asked(shapes, np.ones(len(indices), np.float32), np.zeros_like(shapes))

    def _single(self, indices: range, alive: Alive) -> Numbers:
        sources = [self._timeline.avatar_frame(index) for index in indices]
        times = np.array([self._timeline.time(index) for index in indices])
        windows = self._mel.windows(times, self._offset_ms)
        shapes = np.zeros((len(sources), COMPONENTS + 2))
        for start in range(0, len(sources), self._infer.batch_size):
            alive()
            part = slice(start, start + self._infer.batch_size)
            crops = self._faces.crops[sources[part]]
            made = self._infer.render(windows[part], crops, self._faces.references[sources[part]])
            shapes[part] = self._read(sources[part], crops, made)
        return shapes

    def _read(self, sources: list[int], crops: FaceCrops, made: FaceCrops) -> Numbers:
        """Return the person's own shapes in ``sources``, changed as ``crops`` were into ``made``."""
        shapes = self._avatar.person.shapes[sources].astype(np.float64)
        boxes = self._avatar.boxes[sources]
        for row in np.flatnonzero(has_face(boxes)).tolist():
            top, bottom, left, right = boxes[row].tolist()
            aspect = (right - left) / (bottom - top)
            faces = [crops[row], made[row]]
            points, presence = self._mesh.fit(faces, aspect)
            if presence.min() < LEAST_PRESENCE:
                continue
            before, after = components_of(_even(points, aspect))
            shapes[row, :COMPONENTS] += after - before
            teeth = shown_teeth(faces, points, aspect) / np.array(TEETH_UNITS)
            shapes[row, COMPONENTS:] += np.clip(teeth[1] - teeth[0], -MOST_TEETH, MOST_TEETH)
        return shapes


def _even(points: MeshPoints, aspect: float) -> Meshes:
    """Return meshes in one unit along all three axes: the height of the crop."""
    even: Meshes = points * np.array([aspect, 1.0, 1.0])
    return even
