"""A release: what it writes, what it refuses, and one made in a clone."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from scripts.release import released, with_version

ROOT = Path(__file__).parents[2]
CHANGELOG = (
    "# Changelog\n\n## Unreleased\n\n### Added\n- A thing.\n\n## 0.1.0 - 2026-01-01\n\n### Added\n- All.\n"
)
IDENTITY = {
    f"GIT_{who}_{what}": "x@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
}
SOURCE = 'import os\n\n__version__ = "0.9.1"\n'


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_what_was_unreleased_stands_under_the_version() -> None:
    lines = released(CHANGELOG, "0.2.0", date(2026, 3, 4)).splitlines()
    headings = [line for line in lines if line.startswith("## ")]
    assert headings == ["## Unreleased", "## 0.2.0 - 2026-03-04", "## 0.1.0 - 2026-01-01"]
    assert (
        lines.index("## 0.2.0 - 2026-03-04")
        < lines.index("- A thing.")
        < lines.index("## 0.1.0 - 2026-01-01")
    )


def test_nothing_unreleased_is_no_release() -> None:
    with pytest.raises(ValueError, match="nothing to release"):
        released(CHANGELOG.replace("### Added\n- A thing.\n", ""), "0.2.0", date(2026, 3, 4))


def test_the_version_is_replaced() -> None:
    assert with_version(SOURCE, "0.10.0") == SOURCE.replace("0.9.1", "0.10.0")


@pytest.mark.parametrize(
    ("version", "reason"), [("", "no version"), ("v1.0.0", "no version"), ("0.9.0", "is older")]
)
def test_a_version_that_cannot_be_is_refused(version: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        with_version(SOURCE, version)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with something to release.

    ``make`` is a stand-in, which notes in ``asked`` what it was asked for; so is a docker, which fails as
    long as there is a file ``broken``.
    """
    git(tmp_path, "clone", "--quiet", str(ROOT), "clone")
    clone, programs = tmp_path / "clone", tmp_path / "programs"
    git(clone, "checkout", "--quiet", "-B", "main")
    changelog = clone / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace("## Unreleased\n", "## Unreleased\n\n- A thing.\n", 1))
    programs.mkdir()
    for name in ("make", "docker"):
        fails = f"[ {name} = docker ] && [ -e {tmp_path}/broken ]"
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/asked\n! {{ {fails}; }}\n')
        (programs / name).chmod(0o755)
    subprocess.run(
        ["git", "commit", "--quiet", "--all", "-m", "A thing"],
        cwd=clone,
        env=os.environ | IDENTITY,
        check=True,
    )
    return clone


def release(clone: Path) -> "subprocess.CompletedProcess[str]":
    programs = clone.parent / "programs"
    return subprocess.run(
        # Tests that run in the background may have been told to ignore a Ctrl-C, and hand that on.
        ["env", "--default-signal=INT", sys.executable, "scripts/release.py", "99.0.0"],
        cwd=clone,
        env=os.environ | IDENTITY | {"PATH": f"{programs}:{os.environ['PATH']}"},
        check=False,
        capture_output=True,
        text=True,
        start_new_session=True,  # a Ctrl-C reaches all that it started, and not the tests
    )


@pytest.mark.parametrize(
    "moment",
    [
        "programs/make",
        "clone/.git/hooks/pre-commit",
        "clone/.git/hooks/post-commit",
        pytest.param("programs/docker", marks=pytest.mark.slow),
        pytest.param("clone/.git/hooks/reference-transaction", marks=pytest.mark.slow),  # the tag is there
    ],
)
def test_a_release_that_is_interrupted_leaves_all_as_it_was(clone: Path, moment: str) -> None:
    before, program = git(clone, "rev-parse", "HEAD"), clone.parent / moment
    program.parent.mkdir(exist_ok=True)
    program.write_text(
        '#!/bin/sh\n[ "$1" = committed ] || [ "${0##*/}" != reference-transaction ] || exit 0\n'
        '[ "$1" != committed ] || grep -q refs/tags || exit 0\nrm "$0"\nkill -INT 0\nsleep 30\n'
    )
    program.chmod(0o755)
    stopped = release(clone)
    assert stopped.returncode == 1
    assert stopped.stderr.strip().endswith("Interrupted: nothing is released.")
    assert "Traceback" not in stopped.stderr
    assert (git(clone, "rev-parse", "HEAD"), git(clone, "status", "--porcelain")) == (before, "")
    assert git(clone, "tag", "--list", "v99.0.0") == ""
    assert not list(clone.glob("dist/*.whl"))


def test_a_release_that_is_interrupted_waits_until_git_has_cleared_up(clone: Path) -> None:
    before, hook = git(clone, "rev-parse", "HEAD"), clone / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(  # git, which has locked the index, hears of it a second later
        "#!/bin/sh\nrm \"$0\"\ntrap '' INT\nkill -STOP $PPID\n(sleep 1; kill -CONT $PPID) &\nkill -INT 0\n"
    )
    hook.chmod(0o755)
    stopped = release(clone)
    assert stopped.stderr.strip().endswith("Interrupted: nothing is released.")
    assert (git(clone, "rev-parse", "HEAD"), git(clone, "status", "--porcelain")) == (before, "")


@pytest.mark.slow
def test_a_release_leaves_a_commit_a_tag_and_a_wheel_and_is_made_once(clone: Path) -> None:
    done = release(clone)
    assert done.returncode == 0, done.stderr
    assert git(clone, "describe", "--exact-match") == "v99.0.0"
    assert git(clone, "status", "--porcelain") == ""
    assert [path.name for path in (clone / "dist").iterdir()] == ["mouthpiece-99.0.0-py3-none-any.whl"]
    assert "## 99.0.0 - " in (clone / "CHANGELOG.md").read_text()
    asked = (clone.parent / "asked").read_text().splitlines()
    assert asked[0] == "make test-all check"
    assert [line.rpartition("mouthpiece:")[2] for line in asked[1:]] == ["99.0.0-cuda .", "99.0.0-cpu ."]
    again = release(clone)
    assert again.returncode == 1
    assert "The tag v99.0.0 exists." in again.stderr


def test_a_release_that_cannot_be_committed_leaves_a_clean_tree(clone: Path) -> None:
    hook = clone / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
    hook.chmod(0o755)
    before = git(clone, "rev-parse", "HEAD")
    failed = release(clone)
    assert failed.returncode == 1
    assert "git commit" in failed.stderr
    assert (git(clone, "rev-parse", "HEAD"), git(clone, "status", "--porcelain")) == (before, "")


@pytest.mark.slow
def test_a_release_whose_images_cannot_be_built_is_taken_back_and_can_be_made_again(clone: Path) -> None:
    before = git(clone, "rev-parse", "HEAD")
    broken = clone.parent / "broken"
    broken.touch()
    failed = release(clone)
    assert failed.returncode == 1
    assert "docker build" in failed.stderr
    assert (git(clone, "rev-parse", "HEAD"), git(clone, "status", "--porcelain")) == (before, "")
    assert not list(clone.glob("dist/*.whl"))
    broken.unlink()
    again = release(clone)
    assert again.returncode == 0, again.stderr
    assert git(clone, "describe", "--exact-match") == "v99.0.0"
