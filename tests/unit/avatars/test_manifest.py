import json

import pytest

from app.avatars.manifest import Manifest, check_avatar_id
from app.errors import InvalidRequest
from tests.support.avatars import made_up_manifest


def test_a_manifest_survives_being_written_and_read() -> None:
    manifest = made_up_manifest()
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
