"""Optional packages: whether they are installed, and the command that installs them."""

import shlex
import sys
from importlib.util import find_spec

from app.errors import EngineUnavailable


def require_packages(purpose: str, *packages: str) -> None:
    """Raise EngineUnavailable, with the command that fixes it, if one of ``packages`` is not installed."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise EngineUnavailable(
            f"{purpose} needs {', '.join(missing)}, which is not installed here: "
            f"run `{install_command(*missing)}`."
        )


def install_command(*arguments: str) -> str:
    """Return the command that installs packages into the environment that runs, for a shell.

    ``mouthpiece[extra]`` adds an extra: pip finds this project in that environment, and looks for it nowhere
    else, whereas a pip of another environment would look for it on an index, where it is not.
    """
    return shlex.join([sys.executable, "-m", "pip", "install", *arguments])
