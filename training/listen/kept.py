"""Features that are on the disk already, if they are of the same sounds and settings."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from app.media.files import replacing
from app.media.sound import SpeechSamples
from training.listen.features import Features, quiet_features, talk_features
from training.listen.settings import ListenSettings
from training.listen.talks import Progress, Talk
from training.networks.whisper import WhisperEncoder

VERSION: Final = 1
"""Of how sounds are changed and encoded: features of another version are made again."""


class KeptFeatures:
    """The features of some talks and of the quiet sounds, made once and kept in a folder."""

    def __init__(
        self, folder: Path, talks: Sequence[Talk], encoder: WhisperEncoder, settings: ListenSettings
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._talks, self._encoder, self._settings = folder, talks, encoder, settings
        made = (settings.seed, settings.layers, settings.past, settings.piece, settings.ahead)
        about = (VERSION, encoder.sha256, *made)
        sounds = [(talk.name, talk.set, _digest(talk.samples)) for talk in talks]
        self._key = hashlib.sha256(repr((about, sounds)).encode()).hexdigest()[:16]

    def copy(self, number: int, progress: Progress) -> Features:
        """Return one copy of the talks."""
        return self._kept(
            f"copy-{number}",
            lambda: talk_features(self._talks, self._encoder, self._settings, number, progress),
        )

    def quiet(self, recordings: Sequence[SpeechSamples]) -> Features:
        """Return the sounds in which nobody speaks."""
        sounds = [_digest(recording) for recording in recordings]
        about = (self._settings.silent_sounds, self._settings.recorded_parts, sounds)
        name = f"quiet-{hashlib.sha256(repr(about).encode()).hexdigest()[:8]}"
        return self._kept(name, lambda: quiet_features(self._encoder, self._settings, recordings))

    def _kept(self, name: str, make: Callable[[], Features]) -> Features:
        path = self._folder / f"{name}.{self._key}.npz"
        if not path.is_file():
            made = make()
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.savez(file, rows=made.rows, zero=made.zero, speed=made.speed)
        with np.load(path) as stored:
            return Features(stored["rows"], stored["zero"], stored["speed"])


def _digest(samples: SpeechSamples) -> str:
    return hashlib.sha256(np.ascontiguousarray(samples).tobytes()).hexdigest()
