import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("yaml")

from app.errors import InvalidModel, InvalidRequest
from app.media.digests import known_sha256
from app.mouths.ear import Ear
from app.settings import DEFAULT_MODEL
from app.wav2lip.card import load_card
from tests.support.clips import speech_like, talking_head, write_wav
from tests.support.ears import sound_of
from tests.support.models import MODELS
from tests.support.packs import face_crop, write_pack
from tests.support.whispers import write_encoder
from training.clip_writer import write_clip
from training.listen.judge import judged_talks
from training.listen.settings import ListenSettings
from training.listen.talks import video_talks
from training.networks.whisper import load_encoder
from training.split import HeldOut

RECIPE = """
held_out: {groups: [speaker2]}
listen:
  licence: mine alone
  layers: [1, 2]
  past: 10
  piece: 20
  ahead: 12
  heads: 2
  fold_heads: 1
  copies: 2
  clips: 2
  per_clip: 4
  stretch: 8
  samples: 32
  silent_sounds: 13
  least_range: 0.0
"""


def _listen(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "training", "listen", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_an_ear_is_taught_exported_and_judged(tmp_path: Path) -> None:
    pack, runs, recipe = write_pack(tmp_path / "pack"), tmp_path / "runs", tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE)
    encoder, model = write_encoder(tmp_path / "encoder.npz"), tmp_path / "ear.onnx"
    (tmp_path / "videos").mkdir()
    frames = [face_crop(index % 4) for index in range(50)]
    write_clip(tmp_path / "videos" / "somebody.mp4", frames, speech_like(2.0))
    common = ("--runs", runs, "--recipe", recipe)
    teach = ("train", "--pack", pack, "--videos", tmp_path / "videos", "--encoder", encoder, *common)

    (tmp_path / "quiet").mkdir()
    write_wav(tmp_path / "quiet" / "hum.wav", np.full(16000, 0.1, np.float32))
    rights = ("--videos-licence", "asked", "--quiet", tmp_path / "quiet", "--quiet-licence", "free")

    taught = _listen(*teach, *rights)
    exported = _listen("export", model, "--encoder", encoder, *common)
    judged = _listen("judge", model, "--pack", pack, "--videos", tmp_path / "videos", *common)

    assert "2 heads are taught" in taught.stdout, taught.stderr
    assert "sha256" in exported.stdout, exported.stderr
    assert "| made | 1 |" in judged.stdout, judged.stderr
    assert "| videos | 1 |" in judged.stdout
    assert "The recipe holds out nobody in" in judged.stderr
    card = load_card(model)
    assert (card.reference, card.licence, card.commercial_use) == ("nearest", "mine alone", False)
    entries = json.loads(model.with_suffix(".json").read_text())
    made, data = entries["made"], entries["data"]
    assert (made["recipe"], made["recipe_sha256"]) == ("recipe.yaml", known_sha256(recipe))
    assert made["parents"] == [{"name": "encoder.npz", "sha256": known_sha256(encoder)}]
    assert data["videos"].pop("frames") == pytest.approx(50, abs=1)
    assert data == {
        "made": {"clips": 2, "frames": 48, "people": 2, "licences": ["public domain"]},
        "videos": {"clips": 1, "people": 1, "licences": ["asked"]},
        "quiet": {"recordings": 1, "licences": ["free"]},
    }
    shipped = json.loads((MODELS / DEFAULT_MODEL).with_suffix(".json").read_text())
    assert (entries.keys(), made.keys()) == (shipped.keys(), shipped["made"].keys())
    heard = Ear(model).hear(sound_of(tmp_path / "speech", speech_like(1.0)), np.arange(25) / 25)
    assert np.isfinite(heard.shapes).all()


def test_nobody_is_judged_on_whom_the_ear_was_taught_with(tmp_path: Path) -> None:
    pack, settings = write_pack(tmp_path / "pack"), ListenSettings()
    with pytest.raises(InvalidRequest, match="nobody to judge on: give --pack or --videos"):
        judged_talks(None, [], tmp_path / "runs", settings, lambda *_: None)
    with pytest.raises(InvalidRequest, match="holds out nobody who talks"):
        judged_talks(pack, [], tmp_path / "runs", settings, lambda *_: None)
    held = replace(settings, held_out=HeldOut(groups=["speaker1"]))
    talks = judged_talks(pack, [], tmp_path / "runs", held, lambda *_: None)
    assert [talk.person for talk in talks] == ["speaker1"]


def test_a_video_in_which_nobody_talks_is_named(tmp_path: Path) -> None:
    video = talking_head(tmp_path / "mute.mp4", 0.2)
    with pytest.raises(InvalidRequest, match=r"mute\.mp4 shows nobody who talks.* has no audio track"):
        video_talks([video], tmp_path / "measured")


def test_a_file_where_a_folder_is_wanted_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "one.mp4"
    file.touch()
    given = ("--pack", write_pack(tmp_path / "pack"), "--runs", tmp_path, "--encoder", "none.npz")
    for option in ("--videos", "--quiet"):
        result = _listen("train", *given, option, file)
        assert result.returncode == 2
        assert "Usage" in result.stderr


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04cut short", b"no arrays"])
def test_a_file_that_is_no_encoder_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "whisper.npz"
    file.write_bytes(content)
    with pytest.raises(InvalidModel, match=r"does not hold 4 layers"):
        load_encoder(file, (2, 4))


def test_what_is_missing_is_said_in_a_sentence(tmp_path: Path) -> None:
    result = _listen(
        "train", "--pack", write_pack(tmp_path / "pack"), "--runs", tmp_path, "--encoder", "none.npz"
    )
    assert result.returncode == 1
    assert "There is no encoder at none.npz" in result.stderr
    assert "Traceback" not in result.stderr
