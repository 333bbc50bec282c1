"""One way in for every upload: a multipart body, streamed to a file while its limits are watched.

The web framework's own form parsing is not used: it would read the whole body, whatever its size, to a
temporary file of its own before a route could look at it.
"""

from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from anyio import to_thread
from fastapi import Request
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from app.errors import InvalidRequest, UnsupportedMedia, UploadTooLarge
from app.volume import Growth, check_room, storing

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_FIELD_BYTES: Final = 4096
FORM_BYTES: Final = 64 << 10
"""What a body may have beside its file: fields, headers, boundaries."""
WRITE_BYTES: Final = 1 << 20
"""How much is gathered before it is handed to a thread that writes it."""

CheckField = Callable[[str, str], Awaitable[None]]
"""Hears of each field (name, value) when it is complete; may raise to refuse the upload early."""


@dataclass(frozen=True)
class Upload:
    """What came in: the name that the caller's file had, and the other fields. The file is on the disk."""

    filename: str
    fields: dict[str, str]


async def receive_upload(
    request: Request,
    *,
    file_field: str,
    fields: Collection[str],
    destination: Path,
    max_bytes: int,
    check_field: CheckField | None = None,
) -> Upload:
    """Write the file of a multipart body to ``destination`` and return the rest of the form.

    Raises ``UnsupportedMedia`` for another kind of body, ``UploadTooLarge``, ``StorageFull``, and
    ``InvalidRequest`` for a form that is malformed, lacks the file or has fields that nobody asked for.
    """
    announced = int(request.headers.get("content-length", 0))
    if announced > max_bytes + FORM_BYTES:
        raise _too_large(max_bytes)
    form = _Form(_boundary(request), file_field, fields, max_bytes)
    received = 0
    growth = Growth(destination.parent)
    with storing(), await to_thread.run_sync(_create, destination, announced) as file:
        async for chunk in request.stream():
            received += len(chunk)
            if received > max_bytes + FORM_BYTES:
                raise _too_large(max_bytes)
            form.feed(chunk)
            while check_field and form.complete:
                await check_field(*form.complete.pop(0))
            if len(form.data) >= WRITE_BYTES:
                await _write(file, growth, form)
        await _write(file, growth, form)
    return form.result()


@dataclass
class _Part:
    """One part of the form while it is read."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    header_name: bytearray = field(default_factory=bytearray)
    header_value: bytearray = field(default_factory=bytearray)
    name: str = ""
    value: bytearray = field(default_factory=bytearray)


class _Form:
    """Takes the bytes of a body and keeps its fields, and the file's bytes until somebody writes them."""

    def __init__(self, boundary: bytes, file_field: str, fields: Collection[str], max_bytes: int) -> None:
        self.complete: list[tuple[str, str]] = []
        self.data = bytearray()
        self._file_field = file_field
        self._names = fields
        self._max_bytes = max_bytes
        self._part = _Part()
        self._fields: dict[str, str] = {}
        self._filename: str | None = None
        self._file_bytes = 0
        self._ended = False
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._on_part_begin,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }
        with _complaints():
            self._parser = MultipartParser(boundary, callbacks)

    def feed(self, chunk: bytes) -> None:
        with _complaints():
            self._parser.write(chunk)

    def result(self) -> Upload:
        if not self._ended:
            raise InvalidRequest("The multipart body ends before its closing boundary; send it again.")
        if self._filename is None:
            raise InvalidRequest(f"The form lacks the file {self._file_field!r}; add it.")
        return Upload(self._filename, self._fields)

    def _on_part_begin(self) -> None:
        self._part = _Part()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._part.header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._part.header_value += data[start:end]

    def _on_header_end(self) -> None:
        part = self._part
        part.headers[bytes(part.header_name).lower()] = bytes(part.header_value)
        part.header_name.clear()
        part.header_value.clear()

    def _on_headers_finished(self) -> None:
        kind, options = parse_options_header(self._part.headers.get(b"content-disposition"))
        name = self._part.name = options.get(b"name", b"").decode("utf-8", "replace")
        if kind != b"form-data" or not name:
            raise InvalidRequest("A part of the form has no name.")
        if name in self._fields or (name == self._file_field and self._filename is not None):
            raise InvalidRequest(f"{name}: the field is there twice.")
        if name == self._file_field:
            self._filename = _tidy(options.get(b"filename", b"").decode("utf-8", "replace"))
        elif name not in self._names:
            known = ", ".join((self._file_field, *self._names))
            raise InvalidRequest(f"{name[:80]!r} is not a field of this form, which has {known}.")

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part.name == self._file_field:
            self._file_bytes += end - start
            if self._file_bytes > self._max_bytes:
                raise _too_large(self._max_bytes)
            self.data += data[start:end]
        elif len(self._part.value) + end - start > MAX_FIELD_BYTES:
            raise InvalidRequest(f"{self._part.name}: the value is longer than {MAX_FIELD_BYTES} bytes.")
        else:
            self._part.value += data[start:end]

    def _on_part_end(self) -> None:
        name = self._part.name
        if name != self._file_field:
            try:
                self._fields[name] = self._part.value.decode("utf-8")
            except UnicodeDecodeError:
                raise InvalidRequest(f"{name}: the value is not UTF-8.") from None
            self.complete.append((name, self._fields[name]))

    def _on_end(self) -> None:
        self._ended = True


@contextmanager
def _complaints() -> Iterator[None]:
    try:
        yield
    except FormParserError as error:
        raise InvalidRequest(f"The multipart body is malformed: {error}.") from error


def _create(destination: Path, announced: int) -> IO[bytes]:
    check_room(destination.parent, announced)
    destination.parent.mkdir(parents=True)
    return destination.open("wb", buffering=0)


async def _write(file: IO[bytes], growth: Growth, form: _Form) -> None:
    data = bytes(form.data)
    form.data.clear()
    growth.add(len(data))
    await to_thread.run_sync(file.write, data)


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise UnsupportedMedia("The body must be multipart/form-data with a boundary, as 'curl -F' sends it.")
    return boundary


def _tidy(filename: str) -> str:
    """Return the last part of a path, printable and of sane length: it is kept, but never used as a path."""
    name = filename.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(letter for letter in name if letter.isprintable())[:200] or "upload"


def _too_large(max_bytes: int) -> UploadTooLarge:
    return UploadTooLarge(
        f"The file has more than {max_bytes} bytes, which is the limit; send a smaller one."
    )
