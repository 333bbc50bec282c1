import shlex
import sys

import pytest

from app.errors import EngineUnavailable
from app.extras import install_command, require_packages


def test_only_what_is_missing_is_asked_for() -> None:
    require_packages("Testing", "numpy", "pytest")
    with pytest.raises(EngineUnavailable, match=r"Testing needs no_such_package, .*install no_such_package`"):
        require_packages("Testing", "numpy", "no_such_package")


def test_the_command_can_be_pasted_into_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/home/anna/my clones/.venv/bin/python")
    command = shlex.split(install_command("mouthpiece[cuda]", "torch>=2.8"))
    assert command == [sys.executable, "-m", "pip", "install", "mouthpiece[cuda]", "torch>=2.8"]
