import json
from pathlib import Path

import pytest

from app.errors import InvalidRequest
from training.pack import Clip, load_pack, save_index

ENTRY = {
    "file": "a.mp4",
    "group": "anna",
    "set": "made",
    "frames": 30,
    "face_w": 90.0,
    "face_h": 120.0,
    "audio": True,
}


def write_index(folder: Path, *entries: dict[str, object]) -> Path:
    (folder / "index.json").write_text(json.dumps({"clips": [{**ENTRY, **entry} for entry in entries]}))
    return folder


def test_an_index_that_was_saved_is_read_back(tmp_path: Path) -> None:
    clip = Clip("a.mp4", "anna", "made", 30, 90.0, 120.0, audio=True, sync_offset_frames=1.5)
    save_index(tmp_path, [clip])
    assert load_pack(tmp_path).clips == (clip,)
    assert clip.aspect == 0.75


def test_a_clip_without_evidence_of_sync_or_without_sound_is_not_synced(tmp_path: Path) -> None:
    pack = load_pack(
        write_index(tmp_path, {}, {"use_for_sync": None}, {"use_for_sync": True, "audio": False})
    )
    assert [clip.synced for clip in pack.clips] == [True, False, False]


def test_a_clip_with_its_set_s_licence_spells_it_out(tmp_path: Path) -> None:
    index = {"licences": {"made": "CC BY 4.0"}, "clips": [{**ENTRY, "licence": "set"}]}
    (tmp_path / "index.json").write_text(json.dumps(index))
    assert load_pack(tmp_path).clips[0].licence == "CC BY 4.0"


@pytest.mark.parametrize("text", ["no json", "[]", '{"clips": [{"file": "a.mp4"}]}', '{"clips": []}'])
def test_a_damaged_or_empty_index_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(InvalidRequest):
        load_pack(tmp_path)


def test_a_folder_that_is_no_pack_is_refused_with_the_way_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="prepare"):
        load_pack(tmp_path)


def test_a_clip_without_a_face_box_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="damaged"):
        load_pack(write_index(tmp_path, {"face_h": 0}))
