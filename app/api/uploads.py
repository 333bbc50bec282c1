"""One way in for every upload: a body, streamed to files while its limits are watched.

The body is a multipart form with the files in it, or one file alone with the parameters in the query. The web
framework's own form parsing is not used: it would read the whole body, whatever its size, to a temporary file
of its own before a route could look at it.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Final

from anyio import to_thread
from fastapi import Request
from python_multipart.multipart import parse_options_header

from app.api.forms import FileField, Form, Incoming, Upload, tidy, too_large
from app.errors import InvalidRequest, UnsupportedMedia
from app.volume import Growth, check_room, storing

FORM_BYTES: Final = 64 << 10
"""What a body may have beside its files: fields, headers, boundaries."""
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
    files: Sequence[FileField],
    fields: Collection[str],
    destination: Path,
    max_bytes: int,
    check_field: CheckField | None = None,
) -> Upload:
    """Write the first of the ``files`` of a body to ``destination``, others beside it under their names.

    Returns what came in. A body that is a file alone is the first. Raises ``UnsupportedMedia`` for another
    kind of body, ``UploadTooLarge`` if a file has more than ``max_bytes``, ``StorageFull``, and
    ``InvalidRequest`` for a form that is malformed or lacks a file.
    """
    announced = int(request.headers.get("content-length", 0))
    most = len(files) * max_bytes + FORM_BYTES
    if announced > most:
        raise too_large(max_bytes)
    body = _body(request, files, fields, max_bytes)
    paths = {file.name: destination.with_name(file.name) for file in files} | {files[0].name: destination}
    received = 0
    with storing(), ExitStack() as stack:
        await to_thread.run_sync(_make_folder, destination.parent, announced)
        writer = _Writer(paths, stack)
        async for chunk in request.stream():
            received += len(chunk)
            if received > most:
                raise too_large(max_bytes)
            body.feed(chunk)
            while check_field and body.complete:
                await check_field(*body.complete.pop(0))
            if sum(len(file.data) for file in body.files.values()) >= WRITE_BYTES:
                await to_thread.run_sync(writer.write, body.files)
        await to_thread.run_sync(writer.write, body.files)
    return body.result()


class _Writer:
    """Writes files that arrive to the disk."""

    def __init__(self, paths: dict[str, Path], stack: ExitStack) -> None:
        self._paths = paths
        self._growth = Growth(next(iter(paths.values())).parent)
        self._stack = stack
        self._open: dict[str, IO[bytes]] = {}

    def write(self, files: dict[str, Incoming]) -> None:
        for name, incoming in files.items():
            if name not in self._open:
                file = self._paths[name].open("wb", buffering=0)
                self._open[name] = self._stack.enter_context(file)
            data = incoming.take()
            self._growth.add(len(data))
            self._open[name].write(data)


class _File:
    """Takes a body that is the file itself; the fields are those of the query."""

    def __init__(self, request: Request, name: str, fields: Collection[str], max_bytes: int) -> None:
        given = [(name, value) for name, value in request.query_params.multi_items() if value.strip()]
        self.complete = [(name, value) for name, value in given if name in fields]
        self.files = {name: Incoming(_name_of(request), max_bytes)}
        self._fields = dict(self.complete)
        if len(self._fields) < len(self.complete):
            raise InvalidRequest("A parameter is there twice in the query.")
        self._ignored = tuple(
            tidy(name) for name in request.query_params if name not in (*fields, *_NOT_FIELDS)
        )

    def feed(self, chunk: bytes) -> None:
        for file in self.files.values():
            file.add(chunk)

    def result(self) -> Upload:
        files = {name: file.result() for name, file in self.files.items()}
        return Upload(files, self._fields, self._ignored)


def _body(
    request: Request, files: Sequence[FileField], fields: Collection[str], max_bytes: int
) -> Form | _File:
    """Return what reads a body of this kind. Raises ``UnsupportedMedia``."""
    kind, options = parse_options_header(request.headers.get("content-type"))
    name = kind.decode("latin-1").lower()
    if name.startswith(_RAW_KINDS) or name in _RAW_TYPES:
        return _File(request, files[0].name, fields, max_bytes)
    boundary = options.get(b"boundary")
    if name != "multipart/form-data" or not boundary:
        raise UnsupportedMedia(
            f"The body is {repr(name[:80]) if name else 'of no declared type'}. Send multipart/form-data "
            f"with a boundary, as 'curl -F {files[0].name}=@FILE' does, or the file itself with a Content-"
            "Type of audio/..., video/... or image/... and the parameters in the query."
        )
    return Form(boundary, files, fields, max_bytes)


def _name_of(request: Request) -> str:
    """Return the name that the client gives its file in Content-Disposition, if it does."""
    _, options = parse_options_header(request.headers.get("content-disposition"))
    return tidy(options.get(b"filename", b"").decode("utf-8", "replace"))


def _make_folder(folder: Path, announced: int) -> None:
    check_room(folder.parent, announced)
    folder.mkdir(parents=True)
