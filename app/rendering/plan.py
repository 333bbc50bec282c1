"""The plan of a render: written before its first segment, compared before resuming. Needs no numpy."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app import __version__
from app.media.files import replacing


@dataclass(frozen=True)
class Plan:
    """What makes the fragments of a render what they are; fragments of equal plans are interchangeable."""

    avatar_id: str
    avatar_created_at: str
    model_sha256: str
    encoder: str
    options: dict[str, Any]
    """Those of the caller, as JSON has them, defaults filled in."""
    fps: str
    frame_count: int
    fragment_count: int
    version: str = __version__
    """The release that makes the frames: those of another may look different, or be of other segments."""

    def is_at(self, path: Path) -> bool:
        """Return whether the plan at ``path``, if there is one, is this one."""
        try:
            return path.read_text(encoding="utf-8") == self._to_json()
        except FileNotFoundError:
            return False

    def write(self, path: Path) -> None:
        """Write the plan to ``path``, whole or not at all."""
        with replacing(path) as temporary:
            temporary.write_text(self._to_json(), encoding="utf-8")

    @property
    def digest(self) -> str:
        """SHA-256 of the plan, in hex."""
        return hashlib.sha256(self._to_json().encode()).hexdigest()

    def _to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"
