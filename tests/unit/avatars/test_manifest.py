import hashlib
import json
from dataclasses import asdict, replace
from datetime import UTC
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.avatars.manifest import (
    ID_PATTERN,
    SCHEMA_VERSION,
    ColorTags,
    FaceOptions,
    Manifest,
    Source,
    check_avatar_id,
)
from app.errors import InvalidRequest
from app.media.treatment import PLAIN, Treatment
from app.notices import NoticeCode, notice
from tests.support.avatars import made_up_manifest

SIZES = st.integers(1, 8192)
SIDES = st.integers(1, 4096).map(lambda half: 2 * half)
NUMBERS = st.floats(-1000, 1000)
RATIOS = st.fractions(Fraction(1, 1000), 1000, max_denominator=10**6)


@settings(max_examples=25)
@given(
    st.builds(
        Manifest,
        id=st.from_regex(ID_PATTERN, fullmatch=True),
        width=SIDES,
        height=SIDES,
        fps=RATIOS,
        sample_aspect_ratio=RATIOS,
        frame_count=st.integers(10, 10**6),
        face_frames=st.integers(0, 10),
        face_size=SIZES,
        color=st.builds(ColorTags),
        face=st.builds(FaceOptions, pads=st.tuples(*[NUMBERS] * 4), smoothing=NUMBERS),
        source=st.builds(Source),
        created_at=st.datetimes(timezones=st.just(UTC)),
        hdr=st.none() | st.builds(ColorTags),
        treatment=st.builds(Treatment),
        warnings=st.lists(st.builds(notice, st.sampled_from(NoticeCode), st.text(), st.none() | NUMBERS)),
        schema_version=st.just(SCHEMA_VERSION),
    )
)
def test_a_manifest_survives_being_written_and_read(manifest: Manifest) -> None:
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_the_frame_rate_is_kept_as_an_exact_fraction() -> None:
    assert json.loads(made_up_manifest().to_json())["fps"] == "30000/1001"


def test_another_schema_version_is_refused() -> None:
    plain = json.loads(made_up_manifest().to_json()) | {"schema_version": 99}
    with pytest.raises(ValueError, match="schema version 99"):
        Manifest.from_json(json.dumps(plain))


@pytest.mark.parametrize("good", ["a", "0", "anna-2", "a" * 63])
def test_good_ids_pass(good: str) -> None:
    assert check_avatar_id(good) == good


@pytest.mark.parametrize(
    "bad", ["", "-a", "A", "a" * 64, "../a", "a/b", "ä", "a b", "a\n", "a.b", "．．", "a\x00"]
)
def test_bad_ids_are_refused(bad: str) -> None:
    with pytest.raises(InvalidRequest):
        check_avatar_id(bad)


def test_a_manifest_of_the_release_before_opens_and_its_frames_are_decoded_as_then() -> None:
    plain = json.loads(made_up_manifest().to_json())
    del plain["treatment"], plain["warnings"]
    manifest = Manifest.from_json(json.dumps(plain))
    assert manifest.treatment == PLAIN
    assert manifest.warnings == []
    assert manifest.frames_key == manifest.source.sha256


def test_frames_of_one_video_that_were_treated_differently_are_kept_apart() -> None:
    manifest = made_up_manifest()
    keys = {
        replace(manifest, treatment=treatment).frames_key
        for treatment in (PLAIN, Treatment(rotate=90), Treatment(background="blur"))
    }
    assert len(keys) == 3


def test_frames_of_releases_before_pixels_were_made_square_keep_their_key_and_their_form() -> None:
    stored: dict[str, Any] = {
        "rotate": 0,
        "background": "#808080",
        "deinterlace": True,
        "tone_map": True,
        "deep": False,
        "transparent": False,
    }
    manifest = replace(made_up_manifest(), treatment=Treatment(**stored))
    assert json.loads(manifest.to_json())["treatment"] == stored
    treated = hashlib.sha256(json.dumps(stored, sort_keys=True).encode()).hexdigest()[:16]
    assert manifest.frames_key == f"{manifest.source.sha256}-{treated}"
    square = replace(manifest, treatment=replace(manifest.treatment, square=True))
    assert json.loads(square.to_json())["treatment"] == stored | {"square": True}
    assert square.frames_key != manifest.frames_key


def test_warnings_are_read_as_they_were_written() -> None:
    manifest = replace(made_up_manifest(), warnings=[notice(NoticeCode.FACE_LOST, "Gone.", 1.23456)])
    assert Manifest.from_json(manifest.to_json()).warnings[0]["seconds"] == 1.235


@pytest.mark.parametrize(
    "strange",
    [
        {"checksums": ["coords.npy"]},
        {"color": asdict(made_up_manifest().color) | {"matrix": "x"}},
        {"color": asdict(made_up_manifest().color) | {"range": ["full"]}},
        {"color": asdict(made_up_manifest().color) | {"transfer": "1"}},
        {"hdr": asdict(made_up_manifest().color) | {"matrix": None}},
    ],
)
def test_a_manifest_with_which_nothing_could_be_done_is_refused(strange: dict[str, object]) -> None:
    plain = json.loads(made_up_manifest().to_json()) | strange
    with pytest.raises((ValueError, TypeError)):
        Manifest.from_json(json.dumps(plain))
