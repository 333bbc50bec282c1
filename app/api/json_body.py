"""JSON bodies: fields, and files by URL or as ``data:`` URIs (RFC 2397).

A body is collected on disk, and read into memory when it is whole.
"""

import json
import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from string import whitespace
from typing import Any, Final, NoReturn
from urllib.parse import unquote_to_bytes

from app.api.forms import FileField, Incoming, Upload, check_length, legible
from app.errors import InvalidRequest, UploadTooLarge

MAX_JSON_BYTES: Final = 32 << 20
"""How large a body of JSON may be, with all that is in it."""
MAX_VALUES: Final = 50_000
"""How many values a body of JSON may have: each takes up to twenty times as much memory as its text."""
NAME: Final = "body.json"
"""Under what name it arrives, which no file that a caller sends has."""

Translate = Callable[[dict[str, Any]], dict[str, Any]]
"""Returns the fields that the body of another service's client means. Raises ``InvalidRequest``."""

_MOST_DIGITS: Final = 4300
"""Of an integer; Python reads no more (``sys.int_info.default_max_str_digits``)."""
_PIECE: Final = 1 << 16
_LOOKED_AT: Final = 1024
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_\s-]{64,}+[=\s]*+")
"""Of either alphabet (RFC 4648). No address is that long without a dot or a colon."""


class JsonBody:
    """Takes the bytes of a body; knows its fields once :meth:`parse` has read what was gathered."""

    def __init__(
        self, files: Sequence[FileField], fields: Collection[str], translate: Translate | None = None
    ) -> None:
        self.files = {NAME: Incoming(NAME, MAX_JSON_BYTES)}
        self._files = files
        self._translate = translate or dict
        self._names = fields
        self.fields: dict[str, str] = {}
        self._ignored: list[str] = []

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body. Raises ``UploadTooLarge``."""
        try:
            self.files[NAME].add(chunk)
        except UploadTooLarge as error:
            raise UploadTooLarge(
                f"A body of JSON may have {MAX_JSON_BYTES >> 20} MB; send a larger file as "
                "multipart/form-data, or its address."
            ) from error

    def parse(self, path: Path) -> None:
        """Read the fields of the body that lies at ``path``, and delete it. Raises ``InvalidRequest``."""
        body = path.read_bytes()
        _check_values(body)
        try:
            values = self._translate(_read(body))
            for name, value in values.items():
                self._take(name, value)
        except RecursionError as error:
            raise InvalidRequest("The body is nested too deeply; send an object of fields.") from error
        path.unlink()

    def result(self) -> Upload:
        """Return what was in it: no files yet."""
        return Upload({}, self.fields, tuple(self._ignored))

    def _take(self, name: str, value: Any) -> None:
        text = _text(value)
        check_whole(name, text)
        file = next((each for each in self._files if name in (each.name, each.address)), None)
        if file and name == file.name and name in self._names and not is_data(text):
            file = None  # a name, and not the file that is called so, too
        if file and is_data(text) and not text.isascii():
            raise InvalidRequest(f"{name}: a data: URI may contain only ASCII characters (RFC 2397).")
        known = file.address if file else name
        if known not in self._names:
            self._ignored.append(legible(name))
        elif known in self.fields:
            raise InvalidRequest(f"{name}: the field appears twice.")
        elif text.strip():
            self.fields[known] = text
            if file is None:
                check_length(name, len(text.encode()))


def is_data(address: str) -> bool:
    """Whether an address is no address but the file itself."""
    return address[:5].lower() == "data:"


def check_whole(name: str, text: str) -> None:
    """Raise ``InvalidRequest`` if a character of a text is half of a pair, which nobody could be told."""
    try:
        text.encode()
    except UnicodeEncodeError:
        problem = f"{legible(name)}: the value is not valid text: it contains half a character."
        raise InvalidRequest(problem) from None


def check_not_base64(name: str, address: str, media_type: str) -> None:
    """Raise ``InvalidRequest`` if the address of a file is the file itself in base64, with nothing before."""
    if _BASE64.fullmatch(address[:_LOOKED_AT]):
        raise InvalidRequest(f"{name}: base64 needs its type before it: data:{media_type};base64,....")


def data_of(address: str) -> bytes:
    """Return the bytes that a ``data:`` URI is. Raises ``InvalidRequest``."""
    head, comma, rest = address.partition(",")
    if not comma:
        raise InvalidRequest("A data: URI lacks its comma; write it as data:audio/wav;base64,....")
    data = _unquoted(rest)
    if not head.lower().endswith(";base64"):
        return data
    try:
        return b64decode(data.translate(None, whitespace.encode()), validate=True)
    except NotBase64 as error:
        raise InvalidRequest("The data: URI says base64, but is not.") from error


def _unquoted(text: str) -> bytes:
    """Return the bytes of a percent-encoded text; piece by piece, as each escape is an object meanwhile."""
    data, place = bytearray(), 0
    while place < len(text):
        end = place + _PIECE
        # An escape is not cut in two.
        end -= next((back for back in (1, 2) if text[end - back : end - back + 1] == "%"), 0)
        data += unquote_to_bytes(text[place:end])
        place = end
    return bytes(data)


def _check_values(body: bytes) -> None:
    """Raise ``InvalidRequest`` for more values than a request of ours can mean; commas in texts count too."""
    if sum(body.count(sign) for sign in (b",", b"[", b"{", b":")) > MAX_VALUES:
        raise InvalidRequest(
            f"The body has more than {MAX_VALUES} values; send an object of fields, and files as base64."
        )


def _read(body: bytes) -> dict[str, Any]:
    try:
        values = json.loads(body, parse_constant=_refuse, parse_int=_integer, object_pairs_hook=_once)
    except ValueError as error:
        raise InvalidRequest("The Content-Type says JSON, but the body is not JSON.") from error
    if not isinstance(values, dict):
        raise InvalidRequest("The body is JSON, but not an object; send an object of fields.")
    return values


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise InvalidRequest("A field appears twice in the body.")
    return values


def _integer(digits: str) -> int:
    if len(digits.removeprefix("-")) > _MOST_DIGITS:
        raise InvalidRequest(f"A number in the body has more than {_MOST_DIGITS} digits.")
    return int(digits)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _text(value: Any) -> str:
    """Return a value as a form would send it; nothing for what is empty."""
    match value:
        case None:
            return ""
        case str():
            return value
        case list():
            return ",".join(_text(each) for each in value)
    return json.dumps(value)
