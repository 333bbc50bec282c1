"""The environment that every target sets up, with programs that pretend to be Python and pip."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = f"""#!/bin/sh
# Runs code as the real one does; for `-m venv --clear DIR` makes what the other steps need.
case "$1" in
-c) exec {sys.executable} "$@" ;;
-m) rm -rf "$4" && mkdir -p "$4/bin" && cp "$0" "$4/bin/python" && ln -s /bin/true "$4/bin/pip" ;;
esac
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/cpu.txt").touch()
    write_program(tmp_path / "python3", PYTHON)
    return tmp_path


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def make(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    command = ["make", f"PYTHON={clone}/python3", *arguments]
    return subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    "left_over",
    [
        "#!/bin/sh\necho \"ModuleNotFoundError: No module named 'pip'\" >&2\nexit 1\n",
        f'#!/bin/sh\nexec {sys.executable} -c "import sys; sys.version_info = (3, 10); $2"\n',
    ],
    ids=["python3-venv was missing", "it is of an older Python"],
)
def test_an_environment_that_cannot_work_is_made_anew(clone: Path, left_over: str) -> None:
    write_program(clone / ".venv/bin/python", left_over)
    done = make(clone, ".venv/.cpu")
    assert done.returncode == 0, done.stderr
    assert (clone / ".venv/bin/python").read_text() == PYTHON
    assert (clone / ".venv/.cpu").exists()


def test_an_environment_that_works_is_kept(clone: Path) -> None:
    assert make(clone, ".venv/.cpu").returncode == 0
    (clone / ".venv/installed").touch()
    os.utime(clone / "requirements/cpu.txt", (2**31, 2**31))
    assert make(clone, ".venv/.cpu").returncode == 0
    assert (clone / ".venv/installed").exists()


def test_a_python_that_is_too_old_is_refused_with_what_to_do(clone: Path) -> None:
    old = PYTHON.replace('"$@"', '-c "import sys; sys.version_info = (3, 10); $2"')
    write_program(clone / "python3", old)
    done = make(clone, ".venv/.cpu")
    assert done.returncode != 0
    assert "PYTHON=python3.12" in done.stderr
    assert not (clone / ".venv").exists()


def test_to_clean_up_deletes_no_jobs_and_no_avatars(clone: Path) -> None:
    for folder in ("data", "avatars", "models", "out"):
        (clone / folder).mkdir()
    assert make(clone, "clean").returncode == 0
    assert {path.name for path in clone.iterdir() if path.is_dir()} >= {"data", "avatars", "models"}
    assert not (clone / "out").exists()
