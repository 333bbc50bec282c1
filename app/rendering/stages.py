"""The time spent in each stage of a render."""

from dataclasses import asdict, dataclass


@dataclass
class StageSeconds:
    """Time spent in each stage, seconds; the stages overlap, so that the sum exceeds the wall time."""

    sound: float = 0.0
    listen: float = 0.0
    frames: float = 0.0
    model: float = 0.0
    composite: float = 0.0
    encode: float = 0.0
    mux: float = 0.0

    def add(self, other: "StageSeconds") -> None:
        """Add the time that another thread spent."""
        for name, seconds in asdict(other).items():
            setattr(self, name, getattr(self, name) + seconds)
