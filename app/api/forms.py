"""Streaming multipart parser: the fields of a form, and the bytes of its files."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from app.errors import InvalidRequest, UploadTooLarge

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_FIELD_BYTES: Final = 4096
MAX_TEXT_BYTES: Final = 40_000
MAX_FIELDS: Final = 100
"""How many fields and files a form may have."""
ANY_FILE: Final = frozenset({"file", "data"})
"""What the first file may be called as well, by clients that call every file so: many, and n8n."""
TEXT: Final = "text"
"""The field that may stand for a file: what is to be said."""
VOICE: Final = "voice"
"""A text field names the voice that speaks ``text``; a file is what the mouth follows."""

_LONGEST: Final = 200
"""Letters of a name that are kept, or shown."""
_CAPTION_LETTERS: Final = 40
_NAMED: Final = 8
"""How many fields that mean nothing are named."""


@dataclass(frozen=True)
class FileField:
    """A file that a request holds, or may hold."""

    name: str
    description: str
    required: bool = True
    or_text: bool = False
    """Whether a text may stand for it."""
    instead: str = ""
    """The parameter without which it is needed after all."""
    media_type: str = "audio/wav"
    """A type that it may have, for sentences."""

    @property
    def address(self) -> str:
        """The field that may stand for the file: where it can be fetched."""
        return f"{self.name}_url"


@dataclass(frozen=True)
class UploadedFile:
    """A file that came in: its name at the caller's, and the hash of its bytes."""

    filename: str
    sha256: str


@dataclass(frozen=True)
class Upload:
    """What came in: the files, which are on the disk, by their fields, and the other fields.

    A field is not there if it is empty, nor is such a file that has no name, unless it must be there: pages
    send that where none was chosen. ``ignored`` names the fields that mean nothing here.
    """

    files: dict[str, UploadedFile]
    fields: dict[str, str]
    ignored: tuple[str, ...] = ()
    addresses: dict[str, str] = field(default_factory=dict)
    """Where the files are to be fetched that were not sent; or they themselves, as ``data:`` URIs."""

    @property
    def strange(self) -> str:
        """The first of the fields that mean nothing here, for a sentence."""
        return ", ".join(self.ignored[:_NAMED])


class Incoming:
    """A file while it arrives."""

    def __init__(self, filename: str, max_bytes: int) -> None:
        self.data = bytearray()
        """What has arrived and was not taken yet."""
        self._filename = filename
        self._max_bytes = max_bytes
        self._received = 0
        self._digest = sha256()

    def add(self, chunk: bytes) -> None:
        """Take more of it. Raises ``UploadTooLarge``."""
        self._received += len(chunk)
        if self._received > self._max_bytes:
            raise too_large(self._max_bytes)
        self.data += chunk

    @property
    def is_empty(self) -> bool:
        """Whether nothing of it has arrived."""
        return not self._received

    @property
    def is_named(self) -> bool:
        """Whether it has a name at the caller's, as what a page sends for a file not chosen has not."""
        return bool(self._filename)

    def take(self) -> bytes:
        """Return what has arrived since the last time."""
        data = bytes(self.data)
        self.data.clear()
        self._digest.update(data)
        return data

    def result(self) -> UploadedFile:
        """Return what it was, once all of it was taken."""
        return UploadedFile(tidy(self._filename), self._digest.hexdigest())


@dataclass
class _Part:
    """One part of the form while it is read."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    header_name: bytearray = field(default_factory=bytearray)
    header_value: bytearray = field(default_factory=bytearray)
    name: str = ""
    value: bytearray = field(default_factory=bytearray)


class MultipartBody:
    """Takes the bytes of a body and keeps its fields, and the files' bytes until somebody writes them."""

    def __init__(
        self, boundary: bytes, files: Sequence[FileField], fields: Collection[str], max_bytes: int
    ) -> None:
        self.fields: dict[str, str] = {}
        self.files: dict[str, Incoming] = {}
        self._wanted = {file.name: file for file in files}
        self._first = files[0].name
        self._names = fields
        self._max_bytes = max_bytes
        self._part = _Part()
        self._ignored: list[str] = []
        self._ended = False
        self._parts = 0
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
        """Take the next bytes of the body."""
        with _complaints():
            self._parser.write(chunk)

    def result(self) -> Upload:
        """Return what was in it. Raises ``InvalidRequest`` if it is not whole."""
        if not self._ended:
            raise InvalidRequest("The multipart body ends before its closing boundary; send it again.")
        files = {
            name: file.result()
            for name, file in self.files.items()
            if not file.is_empty or file.is_named or self._is_wanting(self._wanted[name])
        }
        return Upload(files, self.fields, tuple(self._ignored))

    def _is_wanting(self, wanted: FileField) -> bool:
        """Whether a file must be there and nothing stands for it: an empty one is told to be empty."""
        others = {wanted.address, TEXT if wanted.or_text else ""}
        return wanted.required and self.fields.keys().isdisjoint(others)

    def _on_part_begin(self) -> None:
        self._part = _Part()
        self._parts += 1
        if self._parts > MAX_FIELDS:
            raise InvalidRequest(f"The form has more than {MAX_FIELDS} fields.")

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
        if name in ANY_FILE and name not in self._names:
            name = self._part.name = self._first
        if name in self.fields or name in self.files:
            raise InvalidRequest(f"{name}: the field appears twice.")
        if name in self._wanted and (name not in self._names or b"filename" in options):
            filename = options.get(b"filename", b"").decode("utf-8", "replace")
            self.files[name] = Incoming(filename, self._max_bytes)
        elif name not in self._names:
            self._ignored.append(legible(name))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if file := self.files.get(self._part.name):
            file.add(data[start:end])
        elif self._part.name not in self._names:
            return
        else:
            check_length(self._part.name, len(self._part.value) + end - start)
            self._part.value += data[start:end]

    def _on_part_end(self) -> None:
        name = self._part.name
        if name in self.files or name not in self._names:
            return
        try:
            value = self._part.value.decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidRequest(f"{name}: the value is not UTF-8.") from None
        if value.strip():
            self.fields[name] = value

    def _on_end(self) -> None:
        self._ended = True


@contextmanager
def _complaints() -> Iterator[None]:
    try:
        yield
    except FormParserError as error:
        raise InvalidRequest(f"The multipart body is malformed: {error}.") from error


def check_length(name: str, length: int) -> None:
    """Raise ``InvalidRequest`` if a field with a value of so many bytes is too long."""
    most = MAX_TEXT_BYTES if name == TEXT else MAX_FIELD_BYTES
    if length > most:
        raise InvalidRequest(f"{name}: the value is longer than {most} bytes.")


def tidy(filename: str) -> str:
    """Return the last part of a path, printable and of sane length: it is kept, but never used as a path."""
    name = filename.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(letter for letter in name if letter.isprintable())[:_LONGEST] or "upload"


def legible(name: str) -> str:
    """Return the name of a field as a sentence may have it: printable and of sane length, as it was sent."""
    if not name:
        return "''"
    shown = (letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name[:_LONGEST])
    return "".join(shown)


def caption(text: str) -> str:
    """Return the beginning of a text, printable, as the name of what is made of it."""
    line = " ".join(text.split())
    shown = line if len(line) <= _CAPTION_LETTERS else f"{line[:_CAPTION_LETTERS]}…"
    return "".join(letter for letter in shown if letter.isprintable()) or "speech"


def too_large(max_bytes: int) -> UploadTooLarge:
    """Return the error for a file of more than ``max_bytes``."""
    return UploadTooLarge(f"The file has more than {max_bytes} bytes, the limit; send a smaller one.")
