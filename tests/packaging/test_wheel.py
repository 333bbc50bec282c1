"""An installed wheel, in an environment that has nothing else, away from the clone."""

import json
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from app import __version__
from tests.support import clips
from tests.support.videos import decode

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Installed:
    """An environment with Mouthpiece in it, and an empty folder in which its commands are run."""

    environment: Path
    folder: Path

    def run(self, *arguments: str) -> str:
        """Run ``mouthpiece`` with an environment of its own; return what it prints."""
        return _output([self.environment / "bin" / "mouthpiece", *arguments], self.folder)


def _output(command: list[str | Path], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, env={"COLUMNS": "200"}, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _pip(environment: Path, *arguments: str | Path) -> None:
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", environment / "bin" / "python"]
    subprocess.run([*pip, "install", "--quiet", *arguments], check=True, timeout=600)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
        cwd=ROOT,
        check=True,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Mouthpiece and what it asks for, in the versions of the lock file."""
    home = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home / "venv"], check=True)
    locked = re.findall(r"^[a-z0-9-]+==[^ \\]+.*", (ROOT / "requirements/cpu.txt").read_text(), re.MULTILINE)
    (home / "versions.txt").write_text("".join(line.rstrip("\\ ") + "\n" for line in locked))
    _pip(home / "venv", "--constraint", home / "versions.txt", wheel)
    (home / "elsewhere").mkdir()
    return Installed(home / "venv", home / "elsewhere")


def test_a_wheel_holds_what_ships_and_nothing_else_that_lies_beside_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    models = {path.name for path in ROOT.glob("models/mouthpiece*") if path.suffix in (".onnx", ".json")}
    media = {"portrait.mp4", "speech.wav"}
    bundle = {name for name in names if name.startswith("app/bundle/")}
    assert bundle == {f"app/bundle/models/{name}" for name in models} | {
        f"app/bundle/demo/{name}" for name in media
    }
    assert {name.split("/")[0] for name in names} == {"app", f"mouthpiece-{__version__}.dist-info"}
    assert "app/py.typed" in names
    licenses = f"mouthpiece-{__version__}.dist-info/licenses"
    assert {f"{licenses}/{name}" for name in ("LICENSE", "NOTICE", "models/LICENSE")} < names


def test_the_doctor_finds_the_model_inside_the_package(installed: Installed) -> None:
    findings = {found["subject"]: found for found in json.loads(installed.run("doctor", "--json"))}
    assert findings["model"]["level"] == "good"
    assert str(installed.environment) in findings["model"]["found"]
    assert "problem" not in {found["level"] for found in findings.values()}


def test_the_demo_speaks(installed: Installed) -> None:
    printed = installed.run("demo", "-o", "spoken.mp4")
    assert "Avatar demo" in printed
    assert len(decode(installed.folder / "spoken.mp4").frames) > 300
    assert [path.name for path in installed.folder.glob("*.mp4")] == ["spoken.mp4"]


def test_a_second_of_speech_is_rendered_with_an_avatar_of_one_s_own(installed: Installed) -> None:
    clips.talking_head(installed.folder / "anna.mp4", 1.0)
    clips.speech(installed.folder / "words.wav", 1.0)
    installed.run("avatar", "add", "anna.mp4")
    installed.run("render", "anna", "words.wav", "-o", "said.mp4")
    assert len(decode(installed.folder / "said.mp4").frames) == 25
