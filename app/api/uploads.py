"""One way in for every upload: a body, streamed to a file while its limits are watched.

The body is a multipart form with the file in it, or the file alone with the parameters in the query. The web
framework's own form parsing is not used: it would read the whole body, whatever its size, to a temporary file
of its own before a route could look at it.
"""

from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import IO, Final

from anyio import to_thread
from fastapi import Request
from python_multipart.multipart import parse_options_header

from app.api.forms import Form, Upload, tidy, too_large
from app.errors import InvalidRequest, UnsupportedMedia
from app.volume import Growth, check_room, storing

FORM_BYTES: Final = 64 << 10
"""What a body may have beside its file: fields, headers, boundaries."""
WRITE_BYTES: Final = 1 << 20
"""How much is gathered before it is handed to a thread that writes it."""

_RAW_KINDS: Final = ("audio/", "video/", "image/")
_RAW_TYPES: Final = ("application/octet-stream", "application/ogg", "application/mp4")
_NOT_FIELDS: Final = ("stream",)
"""What the query says to the route, and not about the upload."""

CheckField = Callable[[str, str], Awaitable[None]]
"""Hears of each field (name, value) when it is complete; may raise to refuse the upload early."""


async def receive_upload(
    request: Request,
    *,
    file_field: str,
    fields: Collection[str],
    destination: Path,
    max_bytes: int,
    check_field: CheckField | None = None,
) -> Upload:
    """Write the file of a body to ``destination`` and return what came with it.

    Raises ``UnsupportedMedia`` for another kind of body, ``UploadTooLarge``, ``StorageFull``, and
    ``InvalidRequest`` for a form that is malformed or lacks the file.
    """
    announced = int(request.headers.get("content-length", 0))
    if announced > max_bytes + FORM_BYTES:
        raise too_large(max_bytes)
    body = _body(request, file_field, fields, max_bytes)
    received = 0
    growth = Growth(destination.parent)
    with storing(), await to_thread.run_sync(_create, destination, announced) as file:
        async for chunk in request.stream():
            received += len(chunk)
            if received > max_bytes + FORM_BYTES:
                raise too_large(max_bytes)
            body.feed(chunk)
            while check_field and body.complete:
                await check_field(*body.complete.pop(0))
            if len(body.data) >= WRITE_BYTES:
                await _write(file, growth, body)
        await _write(file, growth, body)
    return body.result()


class _File:
    """Takes a body that is the file itself; the fields are those of the query."""

    def __init__(self, request: Request, fields: Collection[str], max_bytes: int) -> None:
        given = [(name, value) for name, value in request.query_params.multi_items() if value.strip()]
        self.complete = [(name, value) for name, value in given if name in fields]
        self.data = bytearray()
        self._fields = dict(self.complete)
        if len(self._fields) < len(self.complete):
            raise InvalidRequest("A parameter is there twice in the query.")
        self._ignored = tuple(
            tidy(name) for name in request.query_params if name not in (*fields, *_NOT_FIELDS)
        )
        self._filename = _name_of(request)
        self._max_bytes = max_bytes
        self._received = 0

    def feed(self, chunk: bytes) -> None:
        self._received += len(chunk)
        if self._received > self._max_bytes:
            raise too_large(self._max_bytes)
        self.data += chunk

    def result(self) -> Upload:
        return Upload(self._filename, self._fields, self._ignored)


def _body(request: Request, file_field: str, fields: Collection[str], max_bytes: int) -> Form | _File:
    """Return what reads a body of this kind. Raises ``UnsupportedMedia``."""
    kind, options = parse_options_header(request.headers.get("content-type"))
    name = kind.decode("latin-1").lower()
    if name.startswith(_RAW_KINDS) or name in _RAW_TYPES:
        return _File(request, fields, max_bytes)
    boundary = options.get(b"boundary")
    if name != "multipart/form-data" or not boundary:
        raise UnsupportedMedia(
            f"The body is {repr(name[:80]) if name else 'of no declared type'}. Send multipart/form-data "
            f"with a boundary, as 'curl -F {file_field}=@FILE' does, or the file itself with a Content-Type "
            "of audio/..., video/... or image/... and the parameters in the query."
        )
    return Form(boundary, file_field, fields, max_bytes)


def _name_of(request: Request) -> str:
    """Return the name that the client gives its file in Content-Disposition, if it does."""
    _, options = parse_options_header(request.headers.get("content-disposition"))
    return tidy(options.get(b"filename", b"").decode("utf-8", "replace"))


def _create(destination: Path, announced: int) -> IO[bytes]:
    check_room(destination.parent, announced)
    destination.parent.mkdir(parents=True)
    return destination.open("wb", buffering=0)


async def _write(file: IO[bytes], growth: Growth, body: Form | _File) -> None:
    data = bytes(body.data)
    body.data.clear()
    growth.add(len(data))
    await to_thread.run_sync(file.write, data)
