import asyncio
import json
import operator
from collections.abc import AsyncIterator, Mapping
from hashlib import sha256
from io import FileIO
from pathlib import Path
from threading import Event, get_ident
from typing import Any
from urllib.parse import quote

import pytest
from anyio import to_thread
from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import Message

from app.api import uploads
from app.api.bodies import FIELDS_BYTES, FieldsBody
from app.api.forms import MAX_FIELD_BYTES, MAX_FIELDS, FileField, Upload, UploadedFile, legible
from app.api.uploads import receive_upload
from app.errors import AvatarExists, InvalidRequest, UnsupportedMedia, UploadTooLarge
from app.threads import on_uploads
from tests.support.waiting import DEADLINE, until

pytestmark = pytest.mark.anyio

FILE = bytes(range(256)) * 40 + b"\r\n--edg\r\n--edge"
VIDEO = FileField("video", "The video.")
ME = {"video": UploadedFile("me.mp4", sha256(FILE).hexdigest())}
FORM = (
    b'--edge!\r\nContent-Disposition: form-data; name="id"\r\n\r\n'
    b"anna\r\n"
    b'--edge!\r\nContent-Disposition: form-data; name="video"; filename="C:\\\\films\\\\me.mp4"\r\n'
    b"Content-Type: video/mp4\r\n\r\n" + FILE + b"\r\n"
    b'--edge!\r\nContent-Disposition: form-data; name="face"\r\n\r\n'
    b"\xc3\xa4\r\n"
    b"--edge!--\r\n"
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def request(body: bytes, step: int, *, cut: bool = False, query: str = "") -> Request:
    """Return a request whose body comes in pieces of ``step`` bytes, and is perhaps cut off."""
    pieces = [body[start : start + step] for start in range(0, len(body), step)]
    messages: list[Message] = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.disconnect"} if cut else {"type": "http.request", "body": b""})

    async def incoming() -> AsyncIterator[Message]:
        for message in messages:
            yield message

    stream = incoming()
    headers = [(b"content-type", b"multipart/form-data; boundary=edge!")]
    scope = {"type": "http", "method": "POST", "headers": headers, "query_string": query.encode()}
    return Request(scope, lambda: anext(stream))


async def receive(request: Request, destination: Path, max_bytes: int = 1 << 20) -> Upload:
    return await receive_upload(
        request,
        files=[VIDEO],
        fields=("id", "face"),
        destination=destination,
        max_bytes=max_bytes,
    )


@pytest.mark.parametrize("step", [1, 7, 64, 1 << 20])
async def test_a_form_is_read_however_it_is_cut_into_pieces(tmp_path: Path, step: int) -> None:
    upload = await receive(request(FORM, step), tmp_path / "job" / "upload")
    assert upload == Upload(ME, {"id": "anna", "face": "ä"})
    assert (tmp_path / "job" / "upload").read_bytes() == FILE


async def test_a_file_of_exactly_the_limit_is_accepted_and_a_longer_one_not(tmp_path: Path) -> None:
    await receive(request(FORM, 1000), tmp_path / "fits" / "upload", len(FILE))
    with pytest.raises(UploadTooLarge):
        await receive(request(FORM, 1000), tmp_path / "long" / "upload", len(FILE) - 1)


async def test_a_field_is_checked_before_the_file_after_it_is_read(tmp_path: Path) -> None:
    heard = []

    async def refuse(name: str, value: str) -> None:
        heard.append((name, value))
        raise AvatarExists("There is one.")

    with pytest.raises(AvatarExists):
        await receive_upload(
            request(FORM, 100),
            files=[VIDEO],
            fields=("id", "face"),
            destination=tmp_path / "job" / "upload",
            max_bytes=1 << 20,
            check_field=refuse,
        )
    assert heard == [("id", "anna")]
    assert not (tmp_path / "job" / "upload").exists()


async def test_a_body_cut_off_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(ClientDisconnect):
        await receive(request(FORM[:-300], 100, cut=True), tmp_path / "a" / "upload")
    with pytest.raises(InvalidRequest, match="closing boundary"):
        await receive(request(FORM[:-300], 100), tmp_path / "b" / "upload")


async def test_a_field_is_no_place_for_a_file(tmp_path: Path) -> None:
    form = FORM.replace(b"anna", b"a" * (MAX_FIELD_BYTES + 1))
    with pytest.raises(InvalidRequest, match="id: the value is longer"):
        await receive(request(form, 1000), tmp_path / "job" / "upload")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("me.mp4", "me.mp4"),
        ("../../etc/passwd", "passwd"),
        ("bell\x07.mp4", "bell.mp4"),
        ("dir/", "upload"),
        ("", "upload"),
        ("x" * 300, "x" * 200),
        ("Jürgen 東京.mp4", "Jürgen 東京.mp4"),
    ],
)
async def test_a_filename_is_tidied(tmp_path: Path, sent: str, kept: str) -> None:
    form = FORM.replace(b"C:\\\\films\\\\me.mp4", sent.encode())
    assert (await receive(request(form, 1000), tmp_path / "job" / "upload")).files["video"].filename == kept


def raw_request(
    body: bytes, query: str, kind: str = "audio/wav", name: str = "", coding: str = ""
) -> Request:
    """Return a request whose body is the file itself."""
    messages: list[Message] = [
        {"type": "http.request", "body": body, "more_body": True},
        {"type": "http.request", "body": b""},
    ]

    async def incoming() -> AsyncIterator[Message]:
        for message in messages:
            yield message

    stream = incoming()
    headers = [(b"content-type", kind.encode())]
    if name:
        headers.append((b"content-disposition", f'attachment; filename="{name}"'.encode()))
    if coding:
        headers.append((b"content-encoding", coding.encode()))
    scope = {"type": "http", "method": "POST", "headers": headers, "query_string": query.encode()}
    return Request(scope, lambda: anext(stream))


@pytest.mark.parametrize("kind", ["audio/wav", "VIDEO/mp4", "image/jpeg; q=1", "application/octet-stream"])
async def test_a_body_may_be_the_file_itself_with_its_parameters_in_the_query(
    tmp_path: Path, kind: str
) -> None:
    sent = raw_request(FILE, "id=anna&face=&stream=true&colour=red", kind, "me.mp4")

    upload = await receive(sent, tmp_path / "job" / "upload")

    assert upload == Upload(ME, {"id": "anna"}, ("colour",))
    assert (tmp_path / "job" / "upload").read_bytes() == FILE


async def test_a_file_alone_is_held_to_the_same_limit_and_named_upload(tmp_path: Path) -> None:
    upload = await receive(raw_request(FILE, ""), tmp_path / "fits" / "upload", len(FILE))
    assert upload.files["video"].filename == "upload"
    with pytest.raises(UploadTooLarge):
        await receive(raw_request(FILE, ""), tmp_path / "long" / "upload", len(FILE) - 1)


async def test_a_parameter_twice_in_the_query_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="twice"):
        await receive(raw_request(FILE, "id=a&id=b"), tmp_path / "job" / "upload")


@pytest.mark.parametrize("kind", ["text/plain", "", "multipart/form-data"])
async def test_another_kind_of_body_is_told_what_to_send(tmp_path: Path, kind: str) -> None:
    with pytest.raises(UnsupportedMedia, match=r"-F video=@FILE.*Content-Type of audio"):
        await receive(raw_request(FILE, "", kind), tmp_path / "job" / "upload")


async def test_an_empty_field_is_one_that_is_not_there(tmp_path: Path) -> None:
    upload = await receive(request(FORM.replace(b"anna", b" "), 100), tmp_path / "job" / "upload")
    assert upload.fields == {"face": "ä"}


async def test_unknown_fields_are_ignored_and_named_whatever_they_hold(tmp_path: Path) -> None:
    form = FORM.replace(b'name="id"', b'name="colour"; filename="x"').replace(b"anna", b"\xff" * 20_000)
    upload = await receive(request(form, 1000), tmp_path / "job" / "upload")
    assert upload == Upload(ME, {"face": "ä"}, ("colour",))


@pytest.mark.parametrize(
    ("sent", "told"),
    [("a/b", "a/b"), (r"a\b", r"a\b"), ("\u200b", r"\u200b"), ("x" * 300, "x" * 200), ("\n", r"\n")],
)
async def test_a_field_that_means_nothing_is_named_as_it_was_sent(
    tmp_path: Path, sent: str, told: str
) -> None:
    named = f"{quote(sent)}=1".encode()
    bodies = [
        raw_request(named, "", "application/x-www-form-urlencoded"),
        raw_request(json.dumps({sent: 1}).encode(), "", "application/json"),
        raw_request(FILE, named.decode()),
    ]
    for number, body in enumerate(bodies):
        upload = await receive_upload(
            body,
            files=[FileField("video", "", required=False)],
            fields=(),
            destination=tmp_path / str(number) / "upload",
            max_bytes=100_000,
        )
        assert upload.ignored == (told,)
    assert legible("\ud800") == r"\ud800"
    assert legible("") == "''"


async def test_what_a_query_says_beside_a_form_or_json_is_named_too(tmp_path: Path) -> None:
    query = "face=left&stream=true&strean=true"
    stray = ("face (in the query)", "strean (in the query)")
    upload = await receive(request(FORM, 1000, query=query), tmp_path / "form" / "upload")
    assert upload == Upload(ME, {"id": "anna", "face": "ä"}, stray)
    sent = raw_request(ASKED, query, "application/json")
    assert (await receive(sent, tmp_path / "json" / "upload")).ignored == stray


@pytest.mark.parametrize("coding", ["gzip", "Br", "identity, zstd"])
async def test_a_body_that_is_compressed_on_its_way_is_refused(tmp_path: Path, coding: str) -> None:
    sent = raw_request(FILE, "", coding=coding)
    with pytest.raises(UnsupportedMedia, match=rf"'{coding.lower()}'.*without Content-Encoding"):
        await receive(sent, tmp_path / "job" / "upload")
    await receive(raw_request(FILE, "", coding="Identity"), tmp_path / "job" / "upload")


@pytest.mark.parametrize("name", [b"", b"words.wav"])
async def test_an_empty_file_counts_beside_what_stands_for_it_if_it_has_a_name(
    tmp_path: Path, name: bytes
) -> None:
    """A page sends files that were not chosen without one."""
    form = TWO.replace(b"riff", b"").replace(b'name="face"', b'name="%s"').replace(b"words.wav", name)
    said = FileField("audio", "What is said.", or_text=True)

    async def receive(number: int, fields: tuple[str, ...]) -> Upload:
        field = (fields or ("face",))[0]
        return await receive_upload(
            request(form.replace(b"%s", field.encode()), 64),
            files=[said, VIDEO],
            fields=fields,
            destination=tmp_path / str(number) / "upload",
            max_bytes=1 << 20,
        )

    if name:
        for number, field in enumerate(("text", "audio_url")):
            with pytest.raises(InvalidRequest, match=f"Send either audio or {field}, not both"):
                await receive(number, (field,))
    else:
        assert (await receive(1, ("text",))).files == ME
        assert (await receive(2, ("audio_url",))).addresses == {"audio": "ä"}
    assert (await receive(3, ())).files.keys() == {"audio", "video"}


async def test_an_empty_file_that_was_chosen_is_there_though_it_may_be_missing(tmp_path: Path) -> None:
    files = [FileField(name, "", required=False, instead="avatar") for name in ("video", "voice")]
    chosen = FORM.replace(FILE, b"")
    for name, form in (("chosen", chosen), ("not-chosen", chosen.replace(b"me.mp4", b""))):
        upload = await receive_upload(
            request(form, 64),
            files=files,
            fields=("id", "face", "avatar"),
            destination=tmp_path / name / "upload",
            max_bytes=1 << 20,
        )
        assert list(upload.files) == (["video"] if name == "chosen" else [])


async def test_the_one_file_may_be_called_file(tmp_path: Path) -> None:
    upload = await receive(
        request(FORM.replace(b'name="video"', b'name="file"'), 64), tmp_path / "job" / "upload"
    )
    assert upload.files["video"].filename == "me.mp4"
    assert (tmp_path / "job" / "upload").read_bytes() == FILE


async def test_a_form_without_its_file_is_told_what_it_has_instead(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"lacks the file 'video'.*It has picture"):
        await receive(
            request(FORM.replace(b'name="video"', b'name="picture"'), 64), tmp_path / "job" / "upload"
        )


async def test_of_countless_fields_that_mean_nothing_only_some_are_named(tmp_path: Path) -> None:
    body = "{" + ", ".join(f'"n{number}": 1' for number in range(10_000)) + "}"
    with pytest.raises(InvalidRequest, match="It has n0, n1, ") as refused:
        await receive(raw_request(body.encode(), "", "application/json"), tmp_path / "job" / "upload")
    assert len(refused.value.detail) < 200


SAID = FileField("audio", "What is said.")
TWO = FORM.replace(b"--edge!--\r\n", b"") + (
    b'--edge!\r\nContent-Disposition: form-data; name="audio"; filename="words.wav"\r\n\r\n'
    b"riff\r\n--edge!--\r\n"
)


@pytest.mark.parametrize("step", [1, 64, 1 << 20])
async def test_two_files_are_kept_apart(tmp_path: Path, step: int) -> None:
    upload = await receive_upload(
        request(TWO, step),
        files=[SAID, VIDEO],
        fields=("id", "face"),
        destination=tmp_path / "job" / "upload",
        max_bytes=len(FILE),
    )
    said = UploadedFile("words.wav", sha256(b"riff").hexdigest())
    assert upload == Upload(ME | {"audio": said}, {"id": "anna", "face": "ä"})
    assert (tmp_path / "job" / "upload").read_bytes() == b"riff"
    assert (tmp_path / "job" / "video").read_bytes() == FILE


async def test_what_is_between_two_signs_is_no_field(tmp_path: Path) -> None:
    fields = b"&" + b"&".join(b"id%d=1" % number for number in range(MAX_FIELDS)) + b"&"
    with pytest.raises(InvalidRequest, match="lacks the file"):
        await receive(raw_request(fields, "", "application/x-www-form-urlencoded"), tmp_path / "a" / "upload")


async def test_a_file_that_may_be_missing_may_be_missing(tmp_path: Path) -> None:
    async def receive(folder: str, *files: FileField) -> Upload:
        destination = tmp_path / folder / "upload"
        return await receive_upload(
            request(FORM, 64),
            files=files,
            fields=(),
            destination=destination,
            max_bytes=1 << 20,
        )

    upload = await receive("optional", VIDEO, FileField("audio", "What is said.", required=False))
    assert upload.files == ME
    with pytest.raises(InvalidRequest, match="lacks the file 'audio'"):
        await receive("required", VIDEO, SAID)


async def test_a_form_of_countless_fields_is_refused(tmp_path: Path) -> None:
    part = b'--edge!\r\nContent-Disposition: form-data; name="n%d"\r\n\r\n\r\n'
    body = b"".join(part % number for number in range(MAX_FIELDS + 1))
    with pytest.raises(InvalidRequest, match="more than 100 fields"):
        await receive(request(body, 1 << 16), tmp_path / "job" / "upload")
    fields = b"&".join(b"n%d=1" % number for number in range(MAX_FIELDS + 1))
    with pytest.raises(InvalidRequest, match="more than 100 fields"):
        await receive(
            raw_request(fields, "", "application/x-www-form-urlencoded"), tmp_path / "plain" / "upload"
        )


ASKED = b'{"id": "anna", "face": "x", "video_url": "data:,RIFF"}'


async def test_all_fields_are_checked_before_a_file_that_is_one_of_them_is_written(tmp_path: Path) -> None:
    heard: list[object] = []

    async def hear(name: str, value: str) -> None:
        heard.append((name, value))

    def refuse(fields: Mapping[str, str]) -> None:
        heard.append(dict(fields))
        raise InvalidRequest("face: must be a number.")

    with pytest.raises(InvalidRequest, match="a number"):
        await receive_upload(
            raw_request(ASKED, "", "application/json"),
            files=[VIDEO],
            fields=("id", "face"),
            destination=tmp_path / "job" / "upload",
            max_bytes=1 << 20,
            check_field=hear,
            check_fields=refuse,
        )
    assert heard == [("id", "anna"), ("face", "x"), {"id": "anna", "face": "x"}]
    assert list((tmp_path / "job").iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "body", "query"),
    [
        ("video/mp4", FILE, "id=anna"),
        ("application/json", ASKED, ""),
        ("application/x-www-form-urlencoded", b"id=anna&video_url=https://example.org/v", ""),
    ],
)
async def test_the_fields_of_every_kind_of_body_are_checked(
    tmp_path: Path, kind: str, body: bytes, query: str
) -> None:
    async def refuse(name: str, value: str) -> None:
        if (name, value) == ("id", "anna"):
            raise AvatarExists("There is one.")

    with pytest.raises(AvatarExists):
        await receive_upload(
            raw_request(body, query, kind),
            files=[VIDEO],
            fields=("id", "face"),
            destination=tmp_path / "job" / "upload",
            max_bytes=1 << 20,
            check_field=refuse,
        )


@pytest.mark.parametrize(
    ("slow", "kind", "body"),
    [
        ("check_room", "video/mp4", FILE),
        ("JsonBody.parse", "application/json", ASKED),
    ],
)
async def test_uploads_to_a_slow_volume_leave_threads_to_everything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: str, kind: str, body: bytes
) -> None:
    goes_on, began = Event(), Event()
    real = operator.attrgetter(slow)(uploads)

    def slowly(*given: Any) -> Any:
        began.set()
        assert goes_on.wait(DEADLINE)
        return real(*given)

    monkeypatch.setattr(f"app.api.uploads.{slow}", slowly)
    async with asyncio.TaskGroup() as group:
        for number in range(60):
            destination = tmp_path / str(number) / "upload"
            group.create_task(receive(raw_request(body, "", kind), destination))
        try:
            await until(began.is_set)
            await asyncio.sleep(0.1)  # the others arrive
            assert await asyncio.wait_for(to_thread.run_sync(lambda: "there"), DEADLINE / 4) == "there"
        finally:
            goes_on.set()
    assert len(list(tmp_path.glob("*/upload"))) == 60  # noqa: ASYNC240


async def test_a_file_is_closed_in_a_thread_for_that_is_when_some_volumes_write_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closing: list[int] = []

    class File(FileIO):
        def close(self) -> None:
            if not self.closed:
                closing.append(get_ident())
            super().close()

    monkeypatch.setattr(Path, "open", lambda path, mode, buffering: File(path, mode))
    await receive(request(FORM, 1 << 20), tmp_path / "whole" / "upload")
    with pytest.raises(ClientDisconnect):
        await receive(raw_request_cut_off(), tmp_path / "cut" / "upload")
    assert len(closing) == 2
    assert get_ident() not in closing


def raw_request_cut_off() -> Request:
    """Return a request whose client goes after more than is gathered before it is written."""
    sent = raw_request(bytes(uploads.WRITE_BYTES), "")
    whole = sent.receive

    async def receive() -> Message:
        message = await whole()
        return message if message.get("body") else {"type": "http.disconnect"}

    return Request(sent.scope, receive)


async def test_files_are_closed_though_no_thread_is_free_for_longer_than_callers_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.threads.WAIT_SECONDS", 0.02)
    goes_on, closed = Event(), Event()
    async with asyncio.TaskGroup() as group:
        try:
            async with uploads._writing({"video": tmp_path / "upload"}) as writer:
                monkeypatch.setattr(writer, "close", closed.set)
                for _ in range(16):
                    group.create_task(on_uploads(goes_on.wait, DEADLINE))
                asyncio.get_running_loop().call_later(0.2, goes_on.set)
                await asyncio.sleep(0)
        finally:
            goes_on.set()
    assert closed.is_set()


@pytest.mark.parametrize("body", [b"RIFF\xa4\x00\x00\x00WAVE", b"A" * (FIELDS_BYTES + 1)])
def test_who_sends_a_file_as_a_form_is_told_how_to_send_it(body: bytes) -> None:
    """As ``curl --data-binary @words.wav`` does, which calls everything a form."""
    form = FieldsBody(("id",), FileField("audio", "The sound."))
    with pytest.raises(InvalidRequest, match=r"-H 'Content-Type: audio/wav'.*-F audio=@FILE"):
        _whole(form, body)


def _whole(form: FieldsBody, body: bytes) -> Upload:
    form.feed(body)
    return form.result()
