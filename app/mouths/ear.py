"""The ear: from sound to mouth shapes, whoever speaks, at any loudness.

The model is Whisper's first layers with heads on top, in one file (``docs/training/design.md``). It hears
windows on a fixed grid of the sound's time and runs each on its own. So what is heard at a time depends
neither on the frames that are asked for together, nor on threads, nor on where a render was resumed.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import openvino

from app.audio.logmel import BANDS, COLUMNS_PER_SECOND, log_mel
from app.audio.loudness import Loudness, loudness_of
from app.audio.windows import FrameTimes
from app.errors import InvalidModel
from app.media.sound import Sound
from app.mouths.space import SHAPE_DIMS, MouthShapes
from app.progress import Alive, nothing
from app.wav2lip.model_file import check_model_file

Openings = npt.NDArray[np.float32]
"""float32 (n,): opening of the inner lips above rest, in ranges of the person: 0 at rest, 1 wide."""

SpeechShares = npt.NDArray[np.float32]
"""float32 (n,), 0..1: how surely somebody speaks or sings."""

METADATA: Final = "mouthpiece.listen"
"""Key of the model's metadata: JSON of ``past``, ``ahead`` (rows about the piece) and ``average_range``."""

ROWS_PER_SECOND: Final = 50
OUTPUTS: Final = 2 + SHAPE_DIMS
_COLUMNS: Final = COLUMNS_PER_SECOND // ROWS_PER_SECOND

_REMEMBERED: Final = 32
"""Pieces of a sound that are kept: a render asks for its beginning first, to learn how its speaker opens, and
neighbouring segments share the piece in which they meet."""

_Rows = npt.NDArray[np.float32]
"""float32 (rows, 10): the model's answers, 50 a second."""


@dataclass(frozen=True)
class Heard:
    """What is heard at the time of each frame.

    ``shapes`` are deviations from rest in the project's shape space, of somebody whose opening has the
    average range; for a person multiply them by their own range over :attr:`Ear.average_range`.
    """

    opening: Openings
    shapes: MouthShapes
    speech: SpeechShares
    """The heads hear a second at once: they are sure of it for up to a second after the last word."""
    near: SpeechShares
    """How near something is loud; see :meth:`app.audio.loudness.Loudness.near`."""


@dataclass(frozen=True)
class _Layout:
    """Rows, 50 a second: the ``piece`` that a window answers for, and what it hears before and after it."""

    past: int
    piece: int
    ahead: int

    @property
    def window(self) -> int:
        return self.past + self.piece + self.ahead


@dataclass(frozen=True)
class _Memory:
    """What is known of the sound that was heard last, while its file stays as it is."""

    sound: Sound
    changed: int
    """When its file was written, nanoseconds."""
    loudness: Loudness
    pieces: dict[int, _Rows] = field(default_factory=dict)
    """Those of the grid that were heard last."""


class Ear:
    """Hears with a model file, on the CPU. One at a time may call it."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        """Load the model at ``path``, to run ``threads`` windows at once, one thread each.

        Raises ModelNotFound, or InvalidModel for a file that is truncated or no ear.
        """
        check_model_file(path)
        core = openvino.Core()
        model = _read(core, path)
        self._layout, self.average_range = _described(model, path)
        self._model = core.compile_model(
            model,
            "CPU",
            {
                "NUM_STREAMS": threads,
                "INFERENCE_NUM_THREADS": threads,
                "INFERENCE_PRECISION_HINT": "f32",
                "ENABLE_CPU_PINNING": False,
            },
        )
        self._requests = [self._model.create_infer_request() for _ in range(threads)]
        self._memory: _Memory | None = None

    def warm_up(self) -> None:
        """Hear a window of silence by every thread."""
        silence = np.zeros((1, BANDS, self._layout.window * _COLUMNS), np.float32)
        for request in self._requests:
            request.infer([silence])

    def hear(self, sound: Sound, times: FrameTimes, alive: Alive = nothing) -> Heard:
        """Return what is heard at ``times`` of a sound: seconds, sorted, near to each other.

        Work and memory are in proportion to the time between the first and the last; what was heard shortly
        before is not heard again. At times outside of the sound silence is heard. Equal times hear equal
        things, to the bit, in whatever calls they come. ``alive`` is called meanwhile.
        """
        if not len(times):
            return _heard(np.empty((0, OUTPUTS), np.float32), np.empty(0, np.float32))
        places = times * ROWS_PER_SECOND
        low = np.floor(places).astype(np.int64)
        first = int(low.min()) // self._layout.piece
        last = (int(low.max()) + 1) // self._layout.piece
        rows = self._rows(sound, first, last + 1, alive)
        index = low - first * self._layout.piece
        share = (places - low).astype(np.float32)[:, None]
        near = self._memory_of(sound, alive).loudness.near(times)
        return _heard(rows[index] * (1 - share) + rows[index + 1] * share, near)

    def _rows(self, sound: Sound, first: int, stop: int, alive: Alive) -> _Rows:
        """Return what is heard in pieces ``first`` to ``stop`` of the grid."""
        memory = self._memory_of(sound, alive)
        wanted = range(first, stop)
        pieces = {index: memory.pieces.pop(index) for index in wanted if index in memory.pieces}
        missing = [index for index in wanted if index not in pieces]
        if missing:
            pieces.update(zip(missing, self._listen(memory, missing, alive), strict=True))
        memory.pieces.update((index, pieces[index]) for index in wanted)
        for oldest in list(memory.pieces)[:-_REMEMBERED]:
            del memory.pieces[oldest]
        return np.concatenate([pieces[index] for index in wanted])

    def _listen(self, memory: _Memory, indices: Sequence[int], alive: Alive) -> list[_Rows]:
        """Run the model on the windows of pieces ``indices``, sorted and near to each other."""
        layout = self._layout
        begin = indices[0] * layout.piece - layout.past
        end = indices[-1] * layout.piece - layout.past + layout.window
        mel = log_mel(memory.sound, begin * _COLUMNS, end * _COLUMNS, memory.loudness.gain, alive)
        heard: list[_Rows] = []
        for start in range(0, len(indices), len(self._requests)):
            alive()
            group = list(zip(indices[start:], self._requests, strict=False))
            for index, request in group:
                place = (index - indices[0]) * layout.piece * _COLUMNS
                window = mel[None, :, place : place + layout.window * _COLUMNS]
                request.start_async([np.ascontiguousarray(window)])
            for _, request in group:
                request.wait()
                heard.append(request.get_output_tensor().data[0].copy())
        return heard

    def _memory_of(self, sound: Sound, alive: Alive) -> _Memory:
        """Return what is known of ``sound``; another one is forgotten."""
        memory, changed = self._memory, Path(sound.speech_path).stat().st_mtime_ns
        if memory is None or (memory.sound, memory.changed) != (sound, changed):
            memory = self._memory = _Memory(sound, changed, loudness_of(sound, alive))
        return memory


def _heard(rows: _Rows, near: SpeechShares) -> Heard:
    return Heard(
        opening=np.ascontiguousarray(rows[:, 0]),
        shapes=np.ascontiguousarray(rows[:, 1 : 1 + SHAPE_DIMS]),
        speech=np.ascontiguousarray(rows[:, 1 + SHAPE_DIMS]),
        near=near,
    )


def _read(core: openvino.Core, path: Path) -> openvino.Model:
    try:
        return core.read_model(path)
    except RuntimeError as error:
        raise InvalidModel(
            f"{path} ({path.stat().st_size:,} bytes) cannot be read as an ONNX model: it is truncated, or of "
            "another kind. Restore the file that came with the model."
        ) from error


def _described(model: openvino.Model, path: Path) -> tuple[_Layout, float]:
    """Return how the model's windows are laid, and the average range of its shapes."""
    try:
        about = json.loads(model.get_rt_info(["framework", METADATA]).astype(str))
        layout = _Layout(int(about["past"]), model.output(0).shape[1], int(about["ahead"]))
        if list(model.input(0).shape) != [1, BANDS, layout.window * _COLUMNS]:
            raise ValueError("other windows")
        if list(model.output(0).shape) != [1, layout.piece, OUTPUTS]:
            raise ValueError("other answers")
        return layout, float(about["average_range"])
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise InvalidModel(
            f"{path} is not a model that listens: it does not map Whisper's log-mel to mouth shapes. A model "
            "of an earlier version was two files, of which this one painted: replace it and its card with "
            "those of this version, or with the output of 'python -m training listen export'."
        ) from error
