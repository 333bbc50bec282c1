"""Reading an upload: a body is streamed to files while its limits are enforced.

The body is a multipart form with the files in it, a single file with the parameters in the query, a form
without files, or JSON. A file may also be given by URL. It is then fetched here, before there is a job,
because workers have no network; what goes wrong is the response to the request. The web framework's form
parsing is not used, because it writes the whole body, whatever its size, to a temporary file before a route
sees it.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, aclosing, asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import IO, Final

from anyio import CancelScope, Lock
from fastapi import Request

from app.api.bodies import FORM_BYTES, FileBody, body_of, ignored_query_fields
from app.api.forms import (
    TEXT,
    VOICE,
    FileField,
    Incoming,
    Upload,
    UploadedFile,
    too_large,
)
from app.api.json_body import NAME, JsonBody, Translate, check_not_base64, data_of, is_data
from app.errors import InvalidRequest
from app.outside.fetching import Fetcher
from app.threads import on_uploads, tidy_uploads
from app.volume import Growth, check_room, storing

WRITE_BYTES: Final = 1 << 20
"""How much is gathered before it is handed to a thread that writes it."""

_one_at_a_time: Final = Lock()
"""Held by the body of JSON that is in memory."""

CheckField = Callable[[str, str], Awaitable[None]]
"""Hears of each field (name, value) when it is complete; may raise to refuse the upload early."""
CheckFields = Callable[[Mapping[str, str]], object]
"""Hears of all fields before files that are in the fields are written; may raise to refuse the upload."""


async def receive_upload(
    request: Request,
    *,
    files: Sequence[FileField],
    fields: Collection[str],
    destination: Path,
    max_bytes: int,
    check_field: CheckField | None = None,
    check_fields: CheckFields | None = None,
    translate: Translate | None = None,
) -> Upload:
    """Write the first of the ``files`` of a body to ``destination``, others beside it under their names.

    Returns what came in; what it has addresses of is for :func:`fetch_files`, except ``data:`` URIs, which
    are written here. A body that is a file alone is the first. With ``translate`` it is JSON in the words of
    another service, or a form. Raises ``UnsupportedMedia`` for another kind of body, ``UploadTooLarge`` if a
    file has more than ``max_bytes``, ``StorageFull``, and ``InvalidRequest`` for a body that is malformed or
    lacks a file.
    """
    announced = int(request.headers.get("content-length", 0))
    most = len(files) * max_bytes + FORM_BYTES
    if announced > most:
        raise too_large(max_bytes)
    names = (*fields, *(file.address for file in files))
    body = body_of(request, files, names, max_bytes, translate)
    paths = paths_of(files, destination) | {NAME: destination.with_name(NAME)}
    received, checked = 0, set[str]()
    with storing():
        await on_uploads(_make_folder, destination.parent, announced)
        async with _writing(paths) as writer:
            async for chunk in request.stream():
                received += len(chunk)
                if received > most:
                    raise too_large(max_bytes)
                body.feed(chunk)
                await _check(body.fields, checked, check_field)
                if sum(len(file.data) for file in body.files.values()) >= WRITE_BYTES:
                    await on_uploads(writer.write, body.files)
            await on_uploads(writer.write, body.files)
            async with _one_at_a_time if isinstance(body, JsonBody) else nullcontext():
                if isinstance(body, JsonBody):
                    await on_uploads(body.parse, paths[NAME])
                stray = () if translate or isinstance(body, FileBody) else ignored_query_fields(request)
                upload = _complete(files, body.result(), stray)
                await _check(upload.fields, checked, check_field)
                if check_fields:
                    check_fields(upload.fields)
                return await on_uploads(writer.write_data, upload, max_bytes)


async def fetch_files(
    upload: Upload, paths: dict[str, Path], fetcher: Fetcher, max_bytes: int, owner: str | None
) -> Upload:
    """Write the files of an upload that have addresses to their ``paths``, and return it with them.

    ``owner`` is the digest of the key that sent it.
    Raises ``AddressRefused``, ``FetchFailed``, ``UploadTooLarge``, ``StorageFull``.
    """
    fetched = {}
    with storing():
        async with _writing(paths) as writer:
            for name, address in upload.addresses.items():
                fetched[name] = await writer.fetch(name, address, fetcher, max_bytes, owner)
    return replace(upload, files=upload.files | fetched, addresses={})


async def _check(fields: Mapping[str, str], checked: set[str], check_field: CheckField | None) -> None:
    """Check the fields that are not among those that were ``checked``, which they are then."""
    if check_field is None:
        return
    for name in [name for name in fields if name not in checked]:
        checked.add(name)
        await check_field(name, fields[name])


def _complete(files: Sequence[FileField], upload: Upload, stray: Sequence[str]) -> Upload:
    """Return the upload as it is used; ``stray`` are fields of the query that mean nothing.

    Raises ``InvalidRequest`` if it lacks a file and has no text that may stand for it, or has both.
    """
    addresses = {file.name: upload.fields.pop(file.address, "") for file in files}
    for file in files:
        spoken = file.or_text and TEXT in upload.fields
        there = file.name in upload.files or bool(addresses[file.name])
        if addresses[file.name] and (file.name in upload.files or file.name in upload.fields):
            raise InvalidRequest(f"Send either {file.name} or {file.address}, not both.")
        if spoken and there:
            raise InvalidRequest(f"Send either {file.name} or {TEXT}, not both.")
        if file.required and not there and not spoken:
            has = f" It has {upload.strange}, which means nothing here." if upload.ignored else ""
            raise InvalidRequest(f"The body lacks the file {file.name!r}; add it, or {file.address}.{has}")
        if addresses[file.name]:
            check_not_base64(file.name, addresses[file.name], file.media_type)
    silent = (VOICE,) if VOICE in upload.fields and TEXT not in upload.fields else ()
    given = {name: address for name, address in addresses.items() if address}
    return replace(upload, ignored=(*upload.ignored, *silent, *stray), addresses=given)


def paths_of(files: Sequence[FileField], destination: Path) -> dict[str, Path]:
    """Return where the files of a body lie."""
    return {file.name: destination.with_name(file.name) for file in files} | {files[0].name: destination}


class _Writer:
    """Writes files that arrive to the disk; :meth:`close` comes last."""

    def __init__(self, paths: dict[str, Path]) -> None:
        self._paths = paths
        self._growth = Growth(next(iter(paths.values())).parent)
        self._stack = ExitStack()
        self.close = self._stack.close
        self._open: dict[str, IO[bytes]] = {}

    def write(self, files: dict[str, Incoming]) -> None:
        for name, incoming in files.items():
            if name not in self._open:
                file = self._paths[name].open("wb", buffering=0)
                self._open[name] = self._stack.enter_context(file)
            data = incoming.take()
            self._growth.add(len(data))
            self._open[name].write(data)

    def write_data(self, upload: Upload, max_bytes: int) -> Upload:
        """Write the files that are ``data:`` URIs, and return the upload with them as if they had been sent.

        Raises ``InvalidRequest``, ``UploadTooLarge``.
        """
        given = {name: address for name, address in upload.addresses.items() if is_data(address)}
        written = {}
        for name, address in given.items():
            incoming = Incoming("", max_bytes)
            incoming.add(data_of(address))
            self.write({name: incoming})
            written[name] = incoming.result()
        elsewhere = {name: address for name, address in upload.addresses.items() if name not in given}
        return replace(upload, files=upload.files | written, addresses=elsewhere)

    async def fetch(
        self, name: str, address: str, fetcher: Fetcher, max_bytes: int, owner: str | None
    ) -> UploadedFile:
        """Write the file that is at an address. Raises what ``Fetcher`` raises."""
        async with fetcher.fetch(address, owner) as fetched, aclosing(fetched.pieces) as pieces:
            if fetched.announced > max_bytes:
                raise too_large(max_bytes)
            incoming = Incoming(fetched.filename, max_bytes)
            async for piece in pieces:
                incoming.add(piece)
                if len(incoming.data) >= WRITE_BYTES:
                    await on_uploads(self.write, {name: incoming})
        await on_uploads(self.write, {name: incoming})
        return incoming.result()


@asynccontextmanager
async def _writing(paths: dict[str, Path]) -> AsyncGenerator[_Writer]:
    """Give what writes files; they are closed in a thread: that is when NFS writes all of it."""
    writer = _Writer(paths)
    try:
        yield writer
    finally:
        with CancelScope(shield=True):
            await tidy_uploads(writer.close)


def _make_folder(folder: Path, announced: int) -> None:
    check_room(folder.parent, announced)
    folder.mkdir(parents=True)
