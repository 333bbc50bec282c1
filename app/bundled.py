"""Files that ship with the code: the default model and the demo's media."""

from pathlib import Path
from typing import Final, Literal

_PACKAGE: Final = Path(__file__).parent


def bundled(folder: Literal["models", "demo"]) -> Path:
    """Return the folder that came with Mouthpiece: inside an installed package, else in the clone."""
    installed = _PACKAGE / "bundle" / folder
    return installed if installed.is_dir() else _PACKAGE.parent / folder
