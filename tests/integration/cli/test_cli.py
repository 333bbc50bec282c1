"""The command line: each command, most of them in this process."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from app import __version__
from app.avatars.store import AvatarStore
from app.cli import app, main
from app.commands import console
from app.media.frames import Color, FrameLayout
from tests.support import clips
from tests.support.avatars import made_up_manifest, put_made_up
from tests.support.cutouts import cutout
from tests.support.videos import decode

REPOSITORY = Path(__file__).parents[3]


@dataclass(frozen=True)
class Done:
    """What came of a command."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def environment() -> dict[str, str]:
    """The variables that a command sees, without settings of whoever runs the tests."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("MOUTHPIECE_")}
    models = {"MOUTHPIECE_MODELS_DIR": str(REPOSITORY / "models"), "MOUTHPIECE_DATA_DIR": "data"}
    return others | models | {"COLUMNS": "200"}


@pytest.fixture
def run(
    environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Run commands in this process: libraries that take seconds to load are loaded once."""

    def call(*arguments: str, **settings: str) -> Done:
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            given = environment | settings
            for name in os.environ.keys() - given.keys():
                patch.delenv(name)
            for name, value in given.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["mouthpiece", *arguments])
            for each in (console.out, console.err):
                patch.setattr(each, "width", int(given["COLUMNS"]))
            capsys.readouterr()
            try:
                main()
            except SystemExit as end:
                return Done(int(end.code or 0), *capsys.readouterr())
        raise AssertionError("it did not end")

    return call


@pytest.fixture
def run_apart(environment: dict[str, str], tmp_path: Path) -> Run:
    """Run commands as a person runs them."""

    def call(*arguments: str, **settings: str) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "app.cli", *arguments],
            cwd=tmp_path,
            env=environment | settings,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return call


def test_from_a_video_to_a_talking_mp4(run: Run, run_apart: Run, tmp_path: Path) -> None:
    clips.talking_head(tmp_path / "Anna Smith.mp4", 0.4)
    clips.speech(tmp_path / "words.wav", 0.6)
    (tmp_path / "out").mkdir()
    assert "Model not found:" in run("avatar", "add", "Anna Smith.mp4", "--model", "none.onnx").stderr
    added = run_apart("avatar", "add", "Anna Smith.mp4")
    assert added.returncode == 0, added.stderr
    assert "Avatar anna-smith: 320x240, 25 fps, 10 frames, 10 of them with a face." in added.stdout
    assert "anna-smith" in run("avatar", "list").stdout
    rendered = run_apart("render", "anna-smith", "words.wav", "-o", "out/talk.mp4", "--quality", "draft")
    assert rendered.returncode == 0, rendered.stderr
    assert len(decode(tmp_path / "out" / "talk.mp4").frames) == 15
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["talk.mp4"]
    assert run("avatar", "rm", "anna-smith").returncode == 0
    assert "anna-smith" not in run("avatar", "list").stdout


def test_a_video_is_dubbed_in_one_step_and_prepared_once(run: Run, tmp_path: Path) -> None:
    clips.talking_head(tmp_path / "me.mp4", 0.4)
    clips.speech(tmp_path / "words.wav", 0.6)
    (tmp_path / "out").mkdir()
    for seconds, options in ((0.6, ()), (0.3, ("--quality", "draft"))):
        clips.speech(tmp_path / "words.wav", seconds)
        done = run("dub", "me.mp4", "words.wav", "-o", "out/talk.mp4", *options)
        assert done.returncode == 0, done.stderr
        assert len(decode(tmp_path / "out" / "talk.mp4").frames) == round(25 * seconds)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["talk.mp4"]
    assert len(list((tmp_path / "avatars").iterdir())) == 1
    assert "implicit-" not in run("avatar", "list").stdout
    assert "implicit-" in run("avatar", "list", "--implicit").stdout
    sideways = ("--rotate", "45")
    assert "rotate: a video can be rotated by 0, 90" in run("dub", "me.mp4", "words.wav", *sideways).stderr
    other = run("dub", "me.mp4", "words.wav", "--smoothing", "0.1", MOUTHPIECE_IMPLICIT_AVATAR_TTL="0.001")
    assert other.returncode == 0, other.stderr
    assert len(list((tmp_path / "avatars").iterdir())) == 1  # the other one had had its time


def test_a_video_without_a_name_is_named_by_its_format(run: Run, tmp_path: Path) -> None:
    clips.talking_head(tmp_path / "me.mp4", 0.4)
    clips.speech(tmp_path / "words.wav", 0.2)
    assert run("dub", "me.mp4", "words.wav", "--format", "webm").returncode == 0
    assert run("avatar", "add", "me.mp4").returncode == 0
    done = run("render", "me", "words.wav", "--format", "mov")
    assert done.stdout.startswith("out.mov: 5 frames"), done.stderr
    assert {path.name for path in tmp_path.glob("out.*")} == {"out.webm", "out.mov"}


def test_no_video_is_written_over_that_was_not_named(run: Run, tmp_path: Path) -> None:
    clips.speech(tmp_path / "words.wav", 0.2)
    (tmp_path / "out.mp4").write_bytes(b"an hour's work")
    for command in (("dub", "words.wav", "words.wav"), ("render", "x", "words.wav")):
        done = run(*command)
        assert (done.returncode, "out.mp4 already: name the one to write" in done.stderr) == (1, True)
    assert (tmp_path / "out.mp4").read_bytes() == b"an hour's work"


def test_a_list_names_its_folder_beside_the_table(run: Run, tmp_path: Path) -> None:
    listed = run("avatar", "list")
    assert listed.stderr == f"Avatars in {tmp_path / 'avatars'}:\n"
    assert listed.stdout.split()[0] == "id"


def test_the_version_is_told(run: Run) -> None:
    assert run("--version").stdout == f"mouthpiece {__version__}\n"


def test_a_list_for_other_programs_has_whole_lines(run: Run, tmp_path: Path) -> None:
    name = "anna-of-the-north-with-a-name-that-is-as-long-as-a-name-may-be-"
    put_made_up(AvatarStore(tmp_path / "avatars"), made_up_manifest(name))
    lines = run("avatar", "list", COLUMNS="40").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["id", name]
    assert len({len(line.split()) for line in lines[1:]}) == 1


def test_a_picture_lies_behind_transparent_footage(run: Run, tmp_path: Path) -> None:
    cutout(tmp_path / "me.webm", 6)
    clips.speech(tmp_path / "words.wav", 0.2)
    cv2.imwrite(str(tmp_path / "blue.png"), np.full((90, 160, 3), (190, 60, 30), np.uint8))
    done = run("dub", "me.webm", "words.wav", "-o", "talk.mp4", "--background-picture", "blue.png")
    assert done.returncode == 0, done.stderr
    layout = FrameLayout(320, 240, Color("bt601"))
    corner = layout.to_bgr(decode(tmp_path / "talk.mp4").frames[-1])[4:20, 4:20].mean(axis=(0, 1))
    assert np.abs(corner - (190, 60, 30)).max() < 8


def test_the_demo_writes_over_nothing_that_it_was_not_told_to(run: Run, tmp_path: Path) -> None:
    (tmp_path / "demo.mp4").write_bytes(b"an hour's work")
    done = run("demo")
    assert (done.returncode, "demo.mp4 already: name the one to write" in done.stderr) == (1, True)
    assert (tmp_path / "demo.mp4").read_bytes() == b"an hour's work"


def test_a_video_is_checked_and_nothing_is_stored(run: Run, tmp_path: Path) -> None:
    clips.talking_head(tmp_path / "me.mp4", 0.4)
    said = run("check", "me.mp4", "--sheet", "sheet.jpg")
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("me.mp4: fair\n  small-face: The face is ")
    picture = cv2.imread(str(tmp_path / "sheet.jpg"))
    assert picture is not None
    assert picture.shape[1] > 1000
    assert json.loads(run("check", "me.mp4", "--json").stdout)["verdict"] == "fair"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["me.mp4", "sheet.jpg"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("avatar", "rm", "nobody"), "Avatar not found: There is no avatar 'nobody'."),
        (("render", "nobody", "words.wav"), "There is no avatar 'nobody'."),
        (("avatar", "add", "words.wav"), "Not a video:"),
        (("avatar", "add", "words.wav", "--face", "middle"), "face: the face is 'largest'"),
        (("avatar", "add", "words.wav", "--id", "../x"), "An avatar id has 1 to 63 characters"),
        (("dub", "words.wav", "words.wav"), "Not a video:"),
        (("check", "words.wav"), "Not a video:"),
        (("dub", "words.wav", "words.wav", "-o", "a.webm"), "add --format webm, or name the file a.mp4."),
        (("render", "x", "words.wav", "-o", "a.mp4", "--format", "mov"), "or name the file a.mov."),
        (("render", "x", "words.wav", "-o", "a.avi"), "a.avi would hold mp4: name the file a.mp4."),
        (("dub", "words.wav", "words.wav", "-o", "no/a.mp4"), "There is no folder no to write a.mp4 into."),
        (("demo", "-o", "no/a.mp4"), "There is no folder no to write a.mp4 into."),
        (("render", "x", "words.wav", "-o", "."), "is a folder: name the file to write, such as out.mp4."),
        (("render", "x", "words.wav", "-o", ".", "--format", "mov"), "such as out.mov."),
        (("render", "x", "words.wav", "--fps", "500"), "fps: a frame rate is a number from 1 to 120"),
    ],
)
def test_what_goes_wrong_is_one_sentence_and_status_1(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    clips.speech(tmp_path / "words.wav", 0.2)
    done = run(*arguments)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert not done.stdout, "nothing is made before"
    assert "Traceback" not in done.stderr


def test_a_file_in_the_place_of_a_folder_is_told_in_plain_words(run: Run, tmp_path: Path) -> None:
    clips.talking_head(tmp_path / "me.mp4", 0.2)
    (tmp_path / "avatars").mkdir()
    (tmp_path / "avatars" / "me").touch()
    done = run("avatar", "add", "me.mp4", "--id", "me")
    assert done.returncode == 1
    assert "Storage damaged: Something else, such as a folder, is in the place of 'me'" in done.stderr
    assert "Errno" not in done.stderr


@pytest.mark.parametrize("arguments", [("render",), ("render", "x", "missing.wav"), ("fly",)])
def test_wrong_usage_is_status_2(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).returncode == 2


@pytest.mark.parametrize(
    "command",
    [
        (),
        ("serve",),
        ("avatar", "add"),
        ("avatar", "list"),
        ("dub",),
        ("check",),
        ("render",),
        ("export",),
        ("doctor",),
    ],
)
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*command, "--help"])
    assert shown.exit_code == 0
    assert "Usage:" in shown.stdout
    assert "<bool>" not in shown.stdout, "a flag that looks as if it took a value"
    assert "..." not in shown.stdout.split("Commands:", 1)[-1], "a sentence cut off"


def test_the_doctor_finds_the_model_and_the_codecs(run: Run, tmp_path: Path) -> None:
    findings = {finding["subject"]: finding for finding in json.loads(run("doctor", "--json").stdout)}
    assert findings["mouthpiece"]["found"] == __version__
    assert findings["avatars"]["found"].startswith(str(tmp_path / "avatars"))
    assert findings["codecs"]["level"] == "good"
    assert findings["model"]["level"] == "good"
    assert re.search(r"sha256 [0-9a-f]{64},", findings["model"]["found"])
    assert {
        "python",
        "processor",
        "cuda",
        "onnxruntime",
        "avatars",
        "data",
        "memory",
        "port",
    } < findings.keys()


def test_the_doctor_weighs_the_disk_against_the_limits(run: Run) -> None:
    findings = json.loads(run("doctor", "--json", MOUTHPIECE_FRAME_CACHE_BYTES=str(10**18)).stdout)
    avatars = next(finding for finding in findings if finding["subject"] == "avatars")
    assert avatars["level"] == "note"
    (enough,) = re.findall(r"MOUTHPIECE_FRAME_CACHE_BYTES=(\d+)", avatars["remedy"])
    findings = json.loads(run("doctor", "--json", MOUTHPIECE_FRAME_CACHE_BYTES=enough).stdout)
    assert next(finding for finding in findings if finding["subject"] == "avatars")["level"] == "good"


def test_the_doctor_names_the_remedy_and_ends_with_1_when_the_model_is_missing(run: Run) -> None:
    done = run("doctor", "--json", MOUTHPIECE_MODEL="nowhere.onnx")
    assert done.returncode == 1
    finding = next(finding for finding in json.loads(done.stdout) if finding["subject"] == "model")
    assert finding["level"] == "problem"
    assert "MOUTHPIECE_MODEL" in finding["remedy"]


def test_the_doctor_finds_that_somebody_has_the_port(run: Run) -> None:
    with socket.socket() as other:  # somebody who never answers
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = run("doctor", MOUTHPIECE_PORT=str(port), COLUMNS="40")
    assert done.returncode == 1
    assert f"problem port: 127.0.0.1:{port}: Address already in use\n" in done.stdout
    assert f"fix: ss -ltnp 'sport = :{port}'" in done.stdout


def test_the_doctor_does_not_say_that_the_cpu_is_used_where_cuda_is_asked_for(run: Run) -> None:
    findings = json.loads(run("doctor", "--json", MOUTHPIECE_DEVICE="cuda").stdout)
    cuda = next(finding for finding in findings if finding["subject"] == "cuda")
    assert cuda["level"] in ("good", "problem")
    assert "the CPU is used" not in cuda["found"]


def test_a_setting_that_is_wrong_is_named_as_it_is_set(run_apart: Run) -> None:
    done = run_apart("serve", MOUTHPIECE_FETCH="http://a", MOUTHPIECE_MAX_QUEUED="0")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "MOUTHPIECE_FETCH: must be off, public, or hosts such as minio:9000, not 'http://a'",
        "MOUTHPIECE_MAX_QUEUED: Input should be greater than or equal to 1",
    ]


def test_what_an_error_says_is_shown_as_it_is(run_apart: Run) -> None:
    assert "[none].onnx" in run_apart("export", "[none].onnx").stderr
