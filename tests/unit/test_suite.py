"""The suite's own rule: with ``--nothing-missing`` a skip fails, unless it is hardware that is missing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = {
    "browser": "def test_it(): pytest.skip('no Chromium')",
    "package": "pytest.importorskip('no_such_package')\ndef test_it(): pass",
    "hardware": "def test_it(): pytest.skip('there is no CUDA device')",
    "service": "def test_it(): pytest.skip('no Chromium: apt-get install chromium')",
    "torch": "def test_it(): pytest.skip('no torch')",
    "expected": "@pytest.mark.xfail\ndef test_it(): assert False",
}


def outcomes(folder: Path, *options: str) -> dict[str, str]:
    """Run all modules under the suite's conftest; return how each one's test ended."""
    for name, source in MODULES.items():
        (folder / f"test_{name}.py").write_text(f"import pytest\n{source}")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rfEsx",
        "--continue-on-collection-errors",
        "-p",
        "tests.conftest",
        *options,
    ]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", f"--rootdir={folder}", "-c", "/dev/null", str(folder)],
        cwd=ROOT,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # they take seconds to load
        capture_output=True,
        text=True,
        check=False,
    )
    ended = re.findall(
        r"^(FAILED|ERROR|SKIPPED|XFAIL) (?:\[1\] )?\S*test_(\w+)\.py", done.stdout, re.MULTILINE
    )
    return {name: how for how, name in ended}


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return outcomes(tmp_path_factory.mktemp("strict"), "--nothing-missing")


def test_a_skip_is_a_failure_where_nothing_may_be_missing(strict: dict[str, str]) -> None:
    assert (strict["browser"], strict["package"]) == ("FAILED", "ERROR")


def test_a_machine_without_the_hardware_still_skips(strict: dict[str, str]) -> None:
    assert strict["hardware"] == "SKIPPED"


def test_an_expected_failure_is_no_skip(strict: dict[str, str]) -> None:
    assert strict["expected"] == "XFAIL"


def test_only_what_scripts_services_installs_may_be_missing_where_it_could_not(
    strict: dict[str, str], tmp_path: Path
) -> None:
    lenient = outcomes(tmp_path, "--nothing-missing", "--but-services")
    assert strict["service"] == "FAILED"
    assert (lenient["service"], lenient["torch"]) == ("SKIPPED", "FAILED")
