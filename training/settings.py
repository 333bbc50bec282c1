"""The settings of a training run: one YAML file, one dataclass."""

from dataclasses import asdict, dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, Literal, get_args

from app.errors import InvalidRequest
from training.recipe import RECIPE, read_recipe, section_of, with_entries
from training.split import HeldOut
from training.tuned import (
    CriticNumbers,
    LookNumbers,
    ScheduleNumbers,
    ViewNumbers,
    numbers,
)

StageName = Literal["expert", "wav2lip"]
STAGES: Final = get_args(StageName)
OTHER_SECTIONS: Final = ("listen", "hidden", "lips")
"""Sections of a recipe that have settings of their own."""
Precision = Literal["auto", "fp32", "bf16"]


@cache
def _recipe() -> dict[str, Any]:
    return read_recipe(RECIPE)


def _shipped(section: str) -> Any:
    """Return the tuned numbers of a section of the shipped recipe."""
    return numbers(_KINDS[section], _recipe()[section], f"{RECIPE}, {section}")


_KINDS: Final[dict[str, type[Any]]] = {
    "critic": CriticNumbers,
    "views": ViewNumbers,
    "looks": LookNumbers,
    "schedule": ScheduleNumbers,
}


@dataclass(frozen=True)
class TrainSettings:
    """How one stage is trained."""

    samples: int = 300_000
    batch: int = 16
    learning_rate: float = 1e-3
    seed: int = 0
    ema: float = 0.998
    """Share of the averaged weights that each step keeps."""
    set_weights: dict[str, float] = field(default_factory=dict)
    """Share of the samples that come from each set; sets not named share alike what is left, or all."""
    held_out: HeldOut = field(default_factory=HeldOut)
    mouth_offset_ms: float = 0.0
    """Convention of the model: see :func:`app.audio.windows.window_starts`."""
    per_clip: int = 1
    """Moments that are drawn of each clip of a batch."""
    sync_weight: float = 0.0
    """Weight of the sync expert's verdict, which needs a trained expert."""
    critic_weight: float = 0.015
    critic_rate: float = 0.0004
    """The critic's own learning rate, the same all along."""
    critic_from: float = 1.0
    """Share of the run from which a critic takes part: 0.67 for the last third, 1 for never."""
    precision: Precision = "auto"
    """bf16 needs half the time where the device has it; weights and losses stay in fp32."""
    log_every: int = 50
    checkpoint_every: int = 250
    sheet_every: int = 2000
    """Steps."""
    critic: CriticNumbers = field(default_factory=partial(_shipped, "critic"))
    views: ViewNumbers = field(default_factory=partial(_shipped, "views"))
    looks: LookNumbers = field(default_factory=partial(_shipped, "looks"))
    schedule: ScheduleNumbers = field(default_factory=partial(_shipped, "schedule"))

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return max(1, self.samples // self.batch)


def load_settings(path: Path, stage: StageName) -> TrainSettings:
    """Read the settings of a stage; entries at the top of the file apply to all stages.

    Raises InvalidRequest if the file cannot be read or has an entry that is unknown or of the wrong kind.
    """
    entries = read_recipe(path)
    sections = {*STAGES, *OTHER_SECTIONS}
    common = {key: value for key, value in entries.items() if key not in sections}
    return _checked(common | section_of(entries, stage, path), path)


def _checked(entries: dict[str, Any], path: Path) -> TrainSettings:
    defaults = TrainSettings()
    tuned = {
        key: _tuned(key, value, getattr(defaults, key), path)
        for key, value in entries.items()
        if key in _KINDS
    }
    settings = with_entries(defaults, entries | tuned, path)
    if settings.precision not in get_args(Precision):
        raise InvalidRequest(
            f"In the recipe {path}, precision must be one of {', '.join(get_args(Precision))}."
        )
    if settings.samples < 1 or settings.batch < 2 or settings.batch % max(settings.per_clip, 1):
        raise InvalidRequest(
            f"The recipe {path} asks for batches of {settings.batch} with {settings.per_clip} moments "
            "a clip; a batch must hold 2 samples or more, a multiple of the moments."
        )
    return settings


def _tuned(key: str, value: Any, default: Any, path: Path) -> Any:
    entries = value if isinstance(value, dict) else {str(value): value}
    return numbers(_KINDS[key], asdict(default) | entries, f"{path}, {key}")
