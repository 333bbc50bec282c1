"""``scripts/services`` with programs of the test's own, on a machine that has none of its own."""

import shutil
import subprocess
from pathlib import Path

import pytest

from demo.browser import NAMES

SCRIPT = Path(__file__).parents[2] / "scripts/services"


def installed(folder: Path, *programs: str, refused: str = "none") -> tuple[int, list[str], str]:
    """Run the script where ``programs`` are there; ``apt-get`` refuses what ends with ``refused``.

    Return the exit status, what it was asked to install, without the database, which may be there, and what
    it said.
    """
    folder.mkdir()
    stub = f'#!/bin/sh\necho "$*" >> {folder}/asked\ncase "$*" in *{refused}) exit 100;; esac\n'
    for name in (*programs, "apt-get"):
        (folder / name).write_text(stub)
        (folder / name).chmod(0o755)
    (folder / "ls").symlink_to(shutil.which("ls") or "")
    environment = {"PATH": str(folder)}
    done = subprocess.run(["/bin/sh", SCRIPT], env=environment, check=False, capture_output=True, text=True)
    asked = (folder / "asked").read_text().splitlines() if (folder / "asked").exists() else []
    packages = [line.split()[-1] for line in asked if line.startswith("install")]
    return done.returncode, [package for package in packages if package != "postgresql"], done.stderr


@pytest.mark.parametrize("browser", NAMES)
def test_a_browser_that_is_there_is_enough(tmp_path: Path, browser: str) -> None:
    assert installed(tmp_path / "programs", browser) == (0, [], "")


def test_a_browser_is_installed_where_there_is_none(tmp_path: Path) -> None:
    assert installed(tmp_path / "debian") == (0, ["chromium"], "")
    status, asked, said = installed(tmp_path / "ubuntu", refused="chromium")
    assert (status, asked) == (1, ["chromium"])
    assert "could not install chromium" in said


def test_where_no_packages_can_be_listed_nothing_is_installed(tmp_path: Path) -> None:
    status, asked, said = installed(tmp_path / "offline", refused="update -qq")
    assert (status, asked) == (1, [])
    assert "is this machine online, and are you root?" in said
