"""Release a version: ``make release VERSION=0.2.0`` on a clean main.

Runs all tests and checks, moves the changelog's Unreleased to the version, commits, builds the wheel into
``dist/`` and, where there is a docker, the images, and tags. If something fails or it is interrupted, commit,
tag and wheel are taken back. Nothing is pushed.
"""

import re
import shutil
import signal
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
_CHANGELOG: Final = ROOT / "CHANGELOG.md"
_VERSION_FILE: Final = ROOT / "app/__init__.py"
_VERSION: Final = re.compile(r'^__version__ = "(.*)"$', re.MULTILINE)
_UNRELEASED: Final = "## Unreleased\n"


def released(changelog: str, version: str, day: date) -> str:
    """Return the changelog with Unreleased moved to ``version``; raise ValueError if nothing stands there."""
    before, heading, after = changelog.partition(_UNRELEASED)
    if not heading or not after.partition("\n## ")[0].strip():
        raise ValueError("CHANGELOG.md has nothing under Unreleased: there is nothing to release.")
    return f"{before}{_UNRELEASED}\n## {version} - {day.isoformat()}\n{after}"


def with_version(source: str, version: str) -> str:
    """Return the source of the package's ``__init__`` with another version.

    Raises ValueError unless ``version`` has the form 1.2.3 and is not older than the present one.
    """
    found = _VERSION.search(source)
    if not found or not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise ValueError(f"{version!r} is no version: VERSION=1.2.3, by semantic versioning.")
    if _numbers(version) < _numbers(found[1]):
        raise ValueError(f"{version} is older than {found[1]}.")
    return _VERSION.sub(f'__version__ = "{version}"', source)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def _run(*command: str) -> None:
    print("+", *command, flush=True)
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            status = process.wait()
        except KeyboardInterrupt:
            process.wait()  # it was told, too; run() kills it after 0.25 s, and git leaves its lock behind
            raise
    if status:
        raise subprocess.CalledProcessError(status, command)


def _output(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def _check_tree(version: str) -> None:
    if _output("git", "status", "--porcelain"):
        raise ValueError("The tree is not clean: commit or stash first.")
    if (branch := _output("git", "branch", "--show-current")) != "main":
        raise ValueError(f"Releases are made from main, not from {branch or 'a detached commit'}.")
    if _output("git", "tag", "--list", f"v{version}"):
        raise ValueError(f"The tag v{version} exists.")


def release(version: str) -> None:
    """Make the release; raise ValueError, with nothing changed, where something stands against it.

    Where a command fails, ``CalledProcessError`` is raised once all is taken back.
    """
    _check_tree(version)
    changelog = released(_CHANGELOG.read_text(), version, datetime.now(UTC).date())
    source = with_version(_VERSION_FILE.read_text(), version)
    _run("make", "test-all", "check")
    before = _output("git", "rev-parse", "HEAD")
    try:
        _CHANGELOG.write_text(changelog)
        _VERSION_FILE.write_text(source)
        _run("git", "commit", "--all", "--message", f"Release {version}")
        _build(version)
        _run("git", "tag", "--annotate", f"v{version}", "--message", f"Mouthpiece {version}")
    except (subprocess.CalledProcessError, KeyboardInterrupt):
        _take_back(version, before)
        raise


def _take_back(version: str, before: str) -> None:
    """Leave the tree as it was at the commit ``before``, so that the release can be tried again."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # also for who presses Ctrl-C twice
    if _output("git", "tag", "--list", f"v{version}"):
        _run("git", "tag", "--delete", f"v{version}")
    _run("git", "reset", "--soft", before)
    _run("git", "restore", "--staged", "--worktree", str(_CHANGELOG), str(_VERSION_FILE))
    for wheel in (ROOT / "dist").glob(f"*-{version}-*.whl"):
        wheel.unlink()


def _build(version: str) -> None:
    """Build what is released: the wheel and, where there is a docker, the images of the present commit."""
    _run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", "dist")
    if shutil.which("docker"):
        revision = _output("git", "rev-parse", "HEAD")
        for target in ("cuda", "cpu"):
            labels = f"--build-arg=VERSION={version}", f"--build-arg=REVISION={revision}"
            _run(
                "docker", "build", *labels, "--target", target, "--tag", f"mouthpiece:{version}-{target}", "."
            )


if __name__ == "__main__":
    try:
        release("".join(sys.argv[1:2]))
    except ValueError as error:
        sys.exit(str(error))
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(error.cmd)} ended with {error.returncode}.")
    except KeyboardInterrupt:
        sys.exit("Interrupted: nothing is released.")
