"""What is wrong with one thing is no failure for all."""

from pathlib import Path

import pytest

from app.avatars.store import MANIFEST, PREVIEW, AvatarStore
from tests.integration.api.conftest import Start
from tests.support.avatars import made_up_manifest, put_made_up

pytestmark = pytest.mark.anyio

DAMAGED = {
    "text": "not JSON",
    "list": "[]",
    "deep": "[" * 100_000,
    "rate": made_up_manifest().to_json().replace("30000/1001", "1/0"),
    "still": made_up_manifest().to_json().replace('"30000/1001"', '"0"'),
    "width": made_up_manifest().to_json().replace('"width": 4', '"width": "wide"'),
    "time": made_up_manifest().to_json().replace("+00:00", ""),
    "odd": made_up_manifest().to_json().replace('"width": 4', '"width": 3'),
    "flag": made_up_manifest().to_json().replace('"implicit": false', '"implicit": "so"'),
    "faces": made_up_manifest().to_json().replace('"face_frames": 2', '"face_frames": 1.5'),
    "half a letter": made_up_manifest().to_json().replace("anna.mp4", "\\ud800.mp4"),
    "no warnings": made_up_manifest().to_json().replace('"warnings": []', '"warnings": null'),
    "strange warning": made_up_manifest().to_json().replace('"warnings": []', '"warnings": [{"code": "x"}]'),
    "other": made_up_manifest("ben").to_json(),
}


@pytest.mark.parametrize("damage", DAMAGED)
async def test_a_damaged_avatar_is_shown_with_its_problem_and_can_be_deleted(
    start: Start, tmp_path: Path, damage: str
) -> None:
    store = AvatarStore(tmp_path / "avatars")
    put_made_up(store, made_up_manifest("well"))
    folder = put_made_up(store, made_up_manifest("anna"))
    (folder / MANIFEST).write_text(DAMAGED[damage])
    client = await start()

    listed = (await client.get("/v1/avatars")).json()
    assert [avatar["id"] for avatar in listed["avatars"]] == ["well"]
    assert [bad["id"] for bad in listed["damaged"]] == ["anna"]
    assert listed["damaged"][0]["problem"]["type"] == "urn:mouthpiece:problem:avatar-damaged"
    assert (await client.get("/v1/avatars/anna")).status_code == 500
    assert (await client.delete("/v1/avatars/anna")).status_code == 204
    assert (await client.get("/v1/avatars")).json()["damaged"] == []


async def test_an_empty_folder_can_be_deleted(start: Start, tmp_path: Path) -> None:
    (tmp_path / "avatars" / "empty").mkdir(parents=True)
    client = await start()
    assert [bad["id"] for bad in (await client.get("/v1/avatars")).json()["damaged"]] == ["empty"]
    assert (await client.delete("/v1/avatars/empty")).status_code == 204
    assert not (tmp_path / "avatars" / "empty").exists()


async def test_the_list_of_avatars_comes_in_pages(start: Start, tmp_path: Path) -> None:
    store = AvatarStore(tmp_path / "avatars")
    names = [f"a{number}" for number in range(5)]
    for name in names:
        put_made_up(store, made_up_manifest(name))
    client = await start()

    seen, cursor = [], ""
    while cursor is not None:
        page = (await client.get(f"/v1/avatars?limit=2{cursor and '&cursor='}{cursor}")).json()
        assert len(page["avatars"]) <= 2
        seen += [avatar["id"] for avatar in page["avatars"]]
        cursor = page["next_cursor"]
    assert seen == names
    for bad in ("limit=0", "limit=1001", "cursor=x", "cursor=" + "9" * 4300 + "-a"):
        assert (await client.get(f"/v1/avatars?{bad}")).status_code == 422


@pytest.mark.parametrize("given", ["bytes=" + "9" * 4300 + "-", "bytes=5-3", "bytes=x", "lines=1-2"])
async def test_a_small_file_is_sent_whole_whatever_is_asked_for(
    start: Start, tmp_path: Path, given: str
) -> None:
    folder = put_made_up(AvatarStore(tmp_path / "avatars"), made_up_manifest("anna"))
    (folder / PREVIEW).write_bytes(b"picture")
    client = await start()
    for path in ("/v1/avatars/anna/preview.jpg", "/", "/studio/studio.css"):
        answer = await client.get(path, headers={"Range": given})
        assert answer.status_code == 200
        assert answer.content == (await client.get(path)).content
