import hashlib
import json
from pathlib import Path

import pytest

from app.errors import InvalidModel
from app.wav2lip.card import ModelCard, load_card


def model_with_card(folder: Path, card: object) -> Path:
    model = folder / "mine.onnx"
    model.write_bytes(b"weights")
    text = card if isinstance(card, str) else json.dumps(card)
    model.with_suffix(".json").write_text(text)
    return model


def test_a_model_without_a_card_gets_the_conventions_of_the_official_checkpoints(tmp_path: Path) -> None:
    card = load_card(tmp_path / "wav2lip_gan.pth")
    assert card == ModelCard(
        name="wav2lip_gan",
        licence="unknown",
        commercial_use=False,
        source=None,
        sha256=None,
        mouth_offset_ms=40.0,
        face_size=None,
        reference="frame",
    )


def test_the_card_says_what_it_knows_and_the_rest_stays_at_its_default(tmp_path: Path) -> None:
    entries = {"licence": "MIT", "commercial_use": True, "mouth_offset_ms": 0, "reference": "closed"}
    card = load_card(
        model_with_card(tmp_path, {**entries, "measured": ["unknown", "keys", "are", "ignored"]})
    )
    assert (card.name, card.licence, card.commercial_use) == ("mine", "MIT", True)
    assert card.mouth_offset_ms == 0.0
    assert isinstance(card.mouth_offset_ms, float)
    assert card.reference == "closed"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"name": ', "not valid JSON"),
        ("\ufffe\x00", "not valid JSON"),
        ("[1, 2]", "must be a JSON object"),
        ("null", "must be a JSON object"),
    ],
)
def test_a_card_that_is_no_json_object_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InvalidModel, match=sentence):
        load_card(model_with_card(tmp_path, text))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", ""),
        ("name", 3),
        ("licence", None),
        ("commercial_use", "yes"),
        ("source", 1),
        ("sha256", "abc"),
        ("sha256", "z" * 64),
        ("mouth_offset_ms", "40"),
        ("mouth_offset_ms", True),
        ("mouth_offset_ms", 1e9),
        ("mouth_offset_ms", float("nan")),
        ("face_size", 96.5),
        ("face_size", True),
        ("face_size", 0),
        ("reference", "open"),
    ],
)
def test_a_wrong_value_is_refused_by_its_key(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(InvalidModel, match=f", {key} must be"):
        load_card(model_with_card(tmp_path, {key: value}))


def test_a_model_that_is_not_the_one_on_the_card_is_refused(tmp_path: Path) -> None:
    model = model_with_card(tmp_path, {"sha256": hashlib.sha256(b"weights").hexdigest().upper()})
    assert load_card(model).sha256 is not None
    model.write_bytes(b"other weights")
    with pytest.raises(InvalidModel, match=r"is not the file that the card mine\.json describes"):
        load_card(model)
