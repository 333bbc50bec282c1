"""What the documentation shows is done, and must work as it stands."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app import errors
from tests.support import clips
from tests.support.server import Server
from tests.support.videos import decode

ROOT = Path(__file__).parents[2]
EXAMPLE_URL = "http://127.0.0.1:8000"

# Here an answer that is a problem ends the script; a reader's curl would print it and go on.
BEFORE = 'set -euo pipefail\ncurl() { command curl --no-progress-meter --fail-with-body "$@"; }\n'


def blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of one language on a page."""
    return fenced((ROOT / page).read_text(), language)


def fenced(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def shape(value: Any) -> Any:
    """Return the names in a JSON document, without what they stand for."""
    return {key: shape(inner) for key, inner in value.items()} if isinstance(value, dict) else None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a reader stands: a video, a sound file."""
    folder = tmp_path_factory.mktemp("reader")
    clips.talking_head(folder / "anna.mp4", 2.0)
    clips.speech(folder / "words.wav", 1.2)
    return folder


@pytest.fixture
def service(outward: Server) -> Server:
    """A service without the avatar of the examples, beside a text-to-speech server."""
    outward.client.delete("/v1/avatars/anna")
    return outward


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_examples_of_the_api_work_as_they_stand(service: Server, folder: Path) -> None:
    commands = "".join(blocks("docs/api.md", "sh"))
    assert commands.count("curl ") >= 20
    printed = run(["bash", "-c", BEFORE + commands.replace(EXAMPLE_URL, service.url)], folder)
    assert '"id":"anna"' in printed
    assert "event: end" in printed
    assert len(decode(folder / "talk.mp4").frames) == 30
    assert (folder / "beginning").stat().st_size == 1024
    (program,) = blocks("docs/api.md", "python")
    (folder / "talk.mp4").unlink()
    run([sys.executable, "-W", "error", "-c", program.replace(EXAMPLE_URL, service.url)], folder)
    assert len(decode(folder / "talk.mp4").frames) == 30

    avatar, check, job, receipt, problem = (
        shape(json.loads(block)) for block in blocks("docs/api.md", "json")
    )
    assert avatar == shape(service.client.get("/v1/avatars/anna").json())
    assert check == shape(json.loads((folder / "check.json").read_text()))
    assert job == shape(json.loads((folder / "job.json").read_text()))
    assert receipt == shape(json.loads((folder / "report.json").read_text()))
    assert problem == shape(service.client.get("/v1/avatars/nobody").json())


def test_the_quick_start_works_with_what_comes_with_the_project(service: Server, tmp_path: Path) -> None:
    (tmp_path / "demo").symlink_to(ROOT / "demo")
    lines = "".join(blocks("docs/quickstart.md", "sh")).splitlines(keepends=True)
    commands = "".join(line for line in lines if line.startswith("curl "))
    assert commands.count("curl ") == 3
    printed = run(["bash", "-c", BEFORE + commands.replace(EXAMPLE_URL, service.url)], tmp_path)
    assert printed.startswith("ok\n")
    assert len(decode(tmp_path / "talk.mp4").frames) > 300


def test_the_examples_for_agents_work_as_they_stand(service: Server, folder: Path, tmp_path: Path) -> None:
    for name in ("anna.mp4", "words.wav"):
        (tmp_path / name).symlink_to(folder / name)
    commands = "".join(fenced(service.client.get("/llms.txt").text, "sh"))
    printed = run(["bash", "-c", BEFORE + commands], tmp_path)
    assert '"state":"queued"' in printed
    assert len(decode(tmp_path / "talk.mp4").frames) == 30


@pytest.mark.parametrize(
    "page", ["README.md", *(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))]
)
def test_every_link_inside_the_project_leads_somewhere(page: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text())
    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []


def test_every_problem_in_the_documentation_is_one_of_ours() -> None:
    known = {error.code: error.status for error in vars(errors).values() if hasattr(error, "code")}
    table = re.findall(r"^\| (\d{3})[^|]*\| (`.*`) \|$", (ROOT / "docs/api.md").read_text(), re.MULTILINE)
    said = {code: int(status) for status, codes in table for code in re.findall(r"`([a-z-]+)`", codes)}
    assert said.items() <= known.items()
    assert {code for code, status in known.items() if status < 500} - said.keys() <= {
        "conflict", "gone", "limit-exceeded", "unusable-media", "unusable-address",
    }  # fmt: skip
