"""``scripts/services`` with programs of the test's own, on a machine that has none of its own."""

import shutil
import subprocess
from pathlib import Path

import pytest

from demo.browser import NAMES

SCRIPT = Path(__file__).parents[2] / "scripts/services"


def installed(folder: Path, *programs: str, refused: str = "none") -> tuple[int, list[str]]:
    """Run the script where ``programs`` are there; ``apt-get`` knows no package ``refused``.

    Return the exit status, and what it was asked to install, without the database, which may be there.
    """
    folder.mkdir()
    stub = f'#!/bin/sh\necho "$*" >> {folder}/asked\ncase "$*" in *{refused}) exit 100;; esac\n'
    for name in (*programs, "apt-get"):
        (folder / name).write_text(stub)
        (folder / name).chmod(0o755)
    (folder / "ls").symlink_to(shutil.which("ls") or "")
    done = subprocess.run(["/bin/sh", SCRIPT], env={"PATH": str(folder)}, check=False, capture_output=True)
    asked = (folder / "asked").read_text().splitlines() if (folder / "asked").exists() else []
    packages = [line.split()[-1] for line in asked if line.startswith("install")]
    return done.returncode, [package for package in packages if package != "postgresql"]


@pytest.mark.parametrize("browser", NAMES)
def test_a_browser_that_is_there_is_enough(tmp_path: Path, browser: str) -> None:
    assert installed(tmp_path / "programs", browser) == (0, [])


def test_a_browser_is_installed_where_there_is_none(tmp_path: Path) -> None:
    assert installed(tmp_path / "debian") == (0, ["chromium"])
    assert installed(tmp_path / "ubuntu", refused="chromium") == (1, ["chromium"])
