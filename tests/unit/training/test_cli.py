import sys
from dataclasses import fields
from pathlib import Path

import pytest

from app.errors import InvalidRequest
from training import cli
from training.evaluation.scores import Scores
from training.evaluation.sounds import WORDLESS


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["training", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0)


def test_what_was_foreseen_is_one_sentence_and_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    videos = tmp_path / "videos of [all]"
    videos.mkdir()
    assert run(monkeypatch, "prepare", videos, tmp_path / "pack") == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1] == f"There are no videos in {videos}: put in files such as .mp4, .mov or .webm."
    assert "Traceback" not in lines


def test_a_file_where_a_folder_is_to_be_made_is_said_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    videos, file = tmp_path / "videos", tmp_path / "file"
    videos.mkdir()
    (videos / "one.mp4").touch()
    file.touch()
    assert run(monkeypatch, "prepare", videos, file / "pack") == 1
    assert capsys.readouterr().err.strip().splitlines()[-1] == f"{file / 'pack'}: Not a directory."


def test_where_torch_is_missing_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def lips(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr("training.hidden.faces.taught_footage", lips)
    assert run(monkeypatch, "lips", tmp_path, "--runs", tmp_path, "-o", tmp_path / "lips.onnx") == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("This needs torch, of the extra 'train': run `")
    assert "mouthpiece[train]" in line


def unexplained(*figures: str) -> list[str]:
    said = (Path(cli.__file__).parent / "README.md").read_text()
    return [name for name in figures if f"`{name}`" not in said]


def test_the_readme_explains_every_figure_of_evaluate() -> None:
    assert unexplained(*(field.name for field in fields(Scores)), *WORDLESS, "quieter_loses") == []


def test_the_readme_explains_every_figure_of_the_ears_judge() -> None:
    pytest.importorskip("torch")
    from training.listen.judge import Score

    assert unexplained(*(field.name for field in fields(Score))) == []


def test_a_stage_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(InvalidRequest, match="expert, wav2lip"):
        cli._stage("teeth")


@pytest.mark.parametrize("command", ["prepare", "train", "listen", "hidden", "lips", "evaluate"])
def test_every_command_explains_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert run(monkeypatch, command, "--help") == 0
    assert "Usage" in capsys.readouterr().out
