"""The suite's own rule: with ``--nothing-missing`` a skip fails, unless it is hardware that is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def outcome(folder: Path, source: str, *options: str) -> str:
    """Run a test module under the suite's conftest; return pytest's closing line."""
    (folder / "test_one.py").write_text(f"import pytest\n{source}")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.conftest",
        "-p",
        "no:cacheprovider",
        *options,
    ]
    done = subprocess.run(
        [*command, f"--rootdir={folder}", "-c", "/dev/null", str(folder)],
        cwd=ROOT,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # they take seconds to load
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    "source",
    [
        "def test_it(): pytest.skip('no Chromium')",
        "pytest.importorskip('no_such_package')\ndef test_it(): pass",
    ],
)
def test_a_skip_is_a_failure_where_nothing_may_be_missing(tmp_path: Path, source: str) -> None:
    line = outcome(tmp_path, source, "--nothing-missing")
    assert "1 failed" in line or "1 error" in line


def test_a_machine_without_the_hardware_still_skips(tmp_path: Path) -> None:
    source = "def test_it(): pytest.skip('there is no CUDA device')"
    assert "1 skipped" in outcome(tmp_path, source, "--nothing-missing")


@pytest.mark.parametrize(
    ("reason", "ended"), [("no Chromium: apt-get install chromium", "1 skipped"), ("no torch", "1 failed")]
)
def test_only_what_scripts_services_installs_may_be_missing_where_it_could_not(
    tmp_path: Path, reason: str, ended: str
) -> None:
    source = f"def test_it(): pytest.skip({reason!r})"
    assert ended in outcome(tmp_path, source, "--nothing-missing", "--but-services")


def test_an_expected_failure_is_no_skip(tmp_path: Path) -> None:
    source = "@pytest.mark.xfail\ndef test_it(): assert False"
    assert "1 xfailed" in outcome(tmp_path, source, "--nothing-missing")
