"""The sandbox, with a payload that tries to get out, and with the work that has to go on inside."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import app
from app.sandbox import Sandbox, protection, without_secrets
from app.settings import Settings
from tests.support import clips, payload

pytestmark = pytest.mark.skipif(bool(protection().missing), reason="the kernel lacks a part of the sandbox")

INSIDE = ("work inside", "rename inside", "run a thread", "pair of streams")
COMMON = "from app.sandbox import Sandbox\nprint(*Sandbox.of_files((), ()).read, sep='\\n')"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("MOUTHPIECE_API_KEYS", "sesame")
    (tmp_path / "data").mkdir()
    return Settings(data_dir=tmp_path / "data", avatars_dir=tmp_path / "avatars")


def test_a_payload_gets_at_nothing_but_its_own_work(settings: Settings, tmp_path: Path) -> None:
    outside = [settings.data_dir / "jobs.sqlite3", tmp_path / ".env", tmp_path / "somebody.txt"]
    for path in outside:
        path.write_text("secret")
    sandbox = Sandbox.of(settings)
    inside = settings.data_dir / "jobs" / "mine"
    inside.mkdir()

    outcome = payload.run(inside, outside, sandbox)

    assert {name: outcome.pop(name) for name in INSIDE} == dict.fromkeys(INSIDE, "done")
    assert outcome == dict.fromkeys(outcome, "PermissionError")
    assert (inside / "renamed").exists()
    assert all(path.exists() for path in outside)


def test_a_room_for_one_avatar_hides_the_others(settings: Settings) -> None:
    mine, other = settings.avatars_dir / "anna", settings.avatars_dir / "ben"
    for folder in (mine, other):
        folder.mkdir(parents=True)
        (folder / "source.mp4").write_text("face")
    whole = Sandbox.of(settings)
    libraries = tuple(path for path in whole.read if path != settings.models_dir)

    outcome = payload.run(mine, [other / "source.mp4"], Sandbox(libraries, (mine,)))

    assert outcome["work inside"] == "done"
    assert outcome["read source.mp4"] == outcome["delete source.mp4"] == "PermissionError"


@pytest.mark.parametrize("on_the_path", [True, False])
def test_the_folder_in_which_the_service_works_is_no_library(tmp_path: Path, on_the_path: bool) -> None:
    work, code = tmp_path / "work", str(Path(app.__file__).parents[1])
    (work / "modules").mkdir(parents=True)
    path = os.pathsep.join([code, str(work / "modules"), *[str(work)] * on_the_path])
    done = subprocess.run(  # -c and -m have Python look for modules in the working folder
        [sys.executable, "-c", COMMON],
        cwd=work,
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    read = {Path(line).resolve() for line in done.stdout.splitlines()}
    assert work / "modules" in read
    assert not read & {work, tmp_path, Path(code)}


def test_a_locked_process_may_change_the_times_of_what_it_has_open(tmp_path: Path) -> None:
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom app.sandbox import Sandbox, enter\n"
        "enter(Sandbox.of_files((), (Path(sys.argv[1]),)))\n"
        "with open(sys.argv[1] + '/used', 'wb') as file:\n    os.utime(file.fileno(), (7, 7))\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    assert (tmp_path / "used").stat().st_mtime == 7


def test_the_environment_of_the_room_has_no_secrets() -> None:
    given = {"PATH": "/bin", "OMP_NUM_THREADS": "1", "LC_ALL": "C"}
    secrets = {"MOUTHPIECE_API_KEYS": "a", "AWS_SECRET_ACCESS_KEY": "b", "PGPASSWORD": "c", "OV_TOKEN": "d"}
    assert without_secrets(given | secrets) == given


WORK = """
import sys
from pathlib import Path
from app.sandbox import Sandbox, cap_memory, enter
from app.settings import Settings
settings = Settings.model_validate_json(sys.argv[1])
enter(Sandbox.of(settings))
from app.avatars.builder import AvatarRequest
from app.rendering.renderer import RenderRequest
from app.rendering.workspace import Workspace
from app.workshop import Workshop
workshop = Workshop.open(settings)
workshop.infer.warm_up()
assert cap_memory(1 << 30)
workshop.builder.build(AvatarRequest("anna", Path(sys.argv[2]), "head.mp4"), lambda done, total: None)
workspace = Workspace(settings.data_dir / "jobs" / "mine")
request = RenderRequest("anna", Path(sys.argv[3]))
print(workshop.renderer.render(request, workspace, lambda done, total: None).frame_count)
"""


def test_avatars_are_made_and_renders_rendered_inside(settings: Settings) -> None:
    job = settings.data_dir / "jobs" / "mine"
    job.mkdir(parents=True)
    video, audio = clips.talking_head(job / "video.mp4", 1.0), clips.speech(job / "audio.wav", 1.0)
    arguments = (settings.model_dump_json(exclude={"api_keys"}), str(video), str(audio))
    done = subprocess.run(
        [sys.executable, "-c", WORK, *arguments],
        env=without_secrets(os.environ),
        capture_output=True,
        text=True,
    )
    assert done.stdout.split()[-1:] == ["25"], done.stderr
    assert json.loads((settings.avatars_dir / "anna" / "avatar.json").read_text())["frame_count"] == 25


def test_a_capped_process_can_spare_for_a_while() -> None:
    script = (
        "from app.sandbox import cap_memory, sparing\n"
        "with sparing(1 << 20):\n    bytearray(32 << 20)\n"
        "assert cap_memory(256 << 20)\n"
        "try:\n    with sparing(1 << 20):\n        bytearray(32 << 20)\n"
        "except MemoryError:\n    bytearray(64 << 20)\n    print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"


def test_memory_beyond_the_ceiling_is_refused_and_the_process_goes_on() -> None:
    script = (
        "from app.sandbox import cap_memory\n"
        "assert cap_memory(64 << 20)\n"
        "kept = bytearray(32 << 20)\n"
        "try:\n    bytearray(512 << 20)\nexcept MemoryError:\n    print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"
