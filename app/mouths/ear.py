"""The ear: from sound to mouth shapes, whoever speaks, at any loudness.

The model is Whisper's first layers with heads on top, in one file (``docs/training/design.md``). It hears
windows on a fixed grid of the sound's time and runs each on its own. So what is heard at a time depends
neither on the frames that are asked for together, nor on threads, nor on where a render was resumed.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import openvino

from app.audio.logmel import BANDS, COLUMNS_PER_SECOND, log_mel
from app.audio.loudness import levelling_gain
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


@dataclass(frozen=True)
class Heard:
    """What is heard at the time of each frame.

    ``shapes`` are deviations from rest in the project's shape space, of somebody whose opening has the
    average range; for a person multiply them by their own range over :attr:`Ear.average_range`.
    """

    opening: Openings
    shapes: MouthShapes
    speech: SpeechShares


@dataclass(frozen=True)
class _Layout:
    """Rows, 50 a second: the ``piece`` that a window answers for, and what it hears before and after it."""

    past: int
    piece: int
    ahead: int

    @property
    def window(self) -> int:
        return self.past + self.piece + self.ahead


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
        self._level: tuple[tuple[Sound, int], float] | None = None

    def warm_up(self) -> None:
        """Hear a window of silence by every thread."""
        silence = np.zeros((1, BANDS, self._layout.window * _COLUMNS), np.float32)
        for request in self._requests:
            request.infer([silence])

    def hear(self, sound: Sound, times: FrameTimes, alive: Alive = nothing) -> Heard:
        """Return what is heard at ``times`` of a sound: seconds, sorted, near to each other.

        Work and memory are in proportion to the time between the first and the last. At times outside of the
        sound silence is heard. Equal times hear equal things, to the bit, in whatever calls they come.
        ``alive`` is called meanwhile.
        """
        if not len(times):
            return _heard(np.empty((0, OUTPUTS), np.float32))
        places = times * ROWS_PER_SECOND
        low = np.floor(places).astype(np.int64)
        first = int(low.min()) // self._layout.piece
        last = (int(low.max()) + 1) // self._layout.piece
        rows = self._rows(sound, first, last + 1, alive)
        index = low - first * self._layout.piece
        share = (places - low).astype(np.float32)[:, None]
        return _heard(rows[index] * (1 - share) + rows[index + 1] * share)

    def _rows(self, sound: Sound, first: int, stop: int, alive: Alive) -> npt.NDArray[np.float32]:
        """Return what is heard in pieces ``first`` to ``stop`` of the grid, (rows, 10)."""
        layout, gain = self._layout, self._gain(sound)
        begin = first * layout.piece - layout.past
        end = (stop - 1) * layout.piece - layout.past + layout.window
        mel = log_mel(sound, begin * _COLUMNS, end * _COLUMNS, gain, alive)
        heard = np.empty((stop - first, layout.piece, OUTPUTS), np.float32)
        for start in range(0, len(heard), len(self._requests)):
            alive()
            group = list(zip(range(start, len(heard)), self._requests, strict=False))
            for index, request in group:
                place = index * layout.piece * _COLUMNS
                window = mel[None, :, place : place + layout.window * _COLUMNS]
                request.start_async([np.ascontiguousarray(window)])
            for index, request in group:
                request.wait()
                heard[index] = request.get_output_tensor().data[0]
        return heard.reshape(-1, OUTPUTS)

    def _gain(self, sound: Sound) -> float:
        """Return the gain of ``sound``, which is measured once while its file stays as it is."""
        key = (sound, Path(sound.speech_path).stat().st_mtime_ns)
        if self._level is None or self._level[0] != key:
            self._level = (key, levelling_gain(sound))
        return self._level[1]


def _heard(rows: npt.NDArray[np.float32]) -> Heard:
    return Heard(
        opening=np.ascontiguousarray(rows[:, 0]),
        shapes=np.ascontiguousarray(rows[:, 1 : 1 + SHAPE_DIMS]),
        speech=np.ascontiguousarray(rows[:, 1 + SHAPE_DIMS]),
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
