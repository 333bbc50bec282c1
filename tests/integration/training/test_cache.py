"""A pack that is decoded once, and again as soon as it is another."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.clips import speech_like
from tests.support.packs import face_crop, write_pack
from training.cache import Cache, open_cache
from training.clip_writer import write_clip
from training.pack import load_pack


def opened(pack: Path, cache: Path) -> tuple[Cache, int]:
    """Open a pack; return the cache, and how many clips were decoded for it."""
    told: list[int] = []
    return open_cache(load_pack(pack), cache, lambda done, of: told.append(done)), len(told)


def corrected(pack: Path, **changes: object) -> None:
    """Change what the index says of every clip."""
    index = json.loads((pack / "index.json").read_text())
    index["clips"] = [entry | changes for entry in index["clips"]]
    (pack / "index.json").write_text(json.dumps(index))


def test_what_is_corrected_in_the_index_arrives_without_decoding_again(tmp_path: Path) -> None:
    pack = write_pack(tmp_path / "pack", clips=2)
    assert opened(pack, tmp_path / "cache")[1] == 2
    corrected(pack, licence="CC BY 4.0", group="anna", sync_offset_frames=1.5)
    cache, decoded = opened(pack, tmp_path / "cache")
    assert decoded == 0
    assert [span.clip for span in cache.spans] == list(load_pack(pack).clips)
    assert {span.clip.licence for span in cache.spans} == {"CC BY 4.0"}


def test_a_pack_that_grew_and_another_pack_are_decoded(tmp_path: Path) -> None:
    one, two = write_pack(tmp_path / "one", clips=2), write_pack(tmp_path / "two", clips=1, frames=30)
    before, _ = opened(one, tmp_path / "cache")
    first = np.array(before.frames)
    index = json.loads((one / "index.json").read_text())
    write_clip(one / "more.mp4", [face_crop()] * 25, None)
    index["clips"].append(index["clips"][0] | {"file": "more.mp4", "frames": 25, "audio": False})
    (one / "index.json").write_text(json.dumps(index))
    grown, decoded = opened(one, tmp_path / "cache")
    assert (decoded, len(grown.spans), len(grown.frames)) == (3, 3, 24 + 24 + 25)
    other, decoded = opened(two, tmp_path / "cache")
    assert (decoded, [span.frames for span in other.spans]) == (1, [30])
    np.testing.assert_array_equal(before.frames, first)  # who has the old one open keeps it


def test_a_clip_that_was_cut_anew_or_squeezed_otherwise_is_decoded_again(tmp_path: Path) -> None:
    pack = write_pack(tmp_path / "pack", clips=1)
    opened(pack, tmp_path / "cache")
    write_clip(pack / "clip0.mp4", [face_crop()] * 40, speech_like(1.6))
    assert opened(pack, tmp_path / "cache")[0].spans[0].frames == 40
    corrected(pack, face_w=80.0)
    assert opened(pack, tmp_path / "cache")[1] == 1


def test_a_cache_whose_decoding_was_stopped_is_decoded_again(tmp_path: Path) -> None:
    pack, cache = write_pack(tmp_path / "pack", clips=2), tmp_path / "cache"
    opened(pack, cache)
    corrected(pack, face_w=80.0)

    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_cache(load_pack(pack), cache, stop)
    corrected(pack, face_w=100.0)
    assert opened(pack, cache)[1] == 2
