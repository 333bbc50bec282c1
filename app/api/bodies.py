"""The kinds of bodies that an upload may have: a form with files in it or without, a file alone, JSON."""

from collections.abc import Collection, Sequence
from typing import Final
from urllib.parse import parse_qsl

from fastapi import Request
from python_multipart.multipart import parse_options_header

from app.api.forms import MAX_FIELDS, MAX_TEXT_BYTES, FileField, Incoming, MultipartBody, Upload, legible
from app.api.json_body import JsonBody, Translate
from app.errors import InvalidRequest, UnsupportedMedia

FORM_BYTES: Final = 64 << 10
"""What a body may have beside its files: fields, headers, boundaries."""
FIELDS_BYTES: Final = FORM_BYTES + 3 * MAX_TEXT_BYTES
"""What a form without files may have: an encoded byte of its text has three, as in %C3."""
RAW_KINDS: Final = ("audio/", "video/", "image/")
RAW_TYPES: Final = ("application/octet-stream", "application/ogg", "application/mp4")
"""How the types of a body begin that is the file itself, or what they are."""
_NOT_FIELDS: Final = ("stream", "check")
"""What the query says to the route, and not about the upload."""


class FileBody:
    """Takes a body that is the file itself; the fields are those of the query."""

    def __init__(self, request: Request, name: str, fields: Collection[str], max_bytes: int) -> None:
        given = [(name, value) for name, value in request.query_params.multi_items() if value.strip()]
        known = [(name, value) for name, value in given if name in fields]
        self.fields = dict(known)
        self.files = {name: Incoming(_name_of(request), max_bytes)}
        if len(self.fields) < len(known):
            raise InvalidRequest("A parameter appears twice in the query.")
        self._ignored = tuple(
            legible(name) for name in request.query_params if name not in (*fields, *_NOT_FIELDS)
        )

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body. Raises ``UploadTooLarge``."""
        for file in self.files.values():
            file.add(chunk)

    def result(self) -> Upload:
        """Return the file and what the query says of it."""
        files = {name: file.result() for name, file in self.files.items()}
        return Upload(files, self.fields, self._ignored)


class FieldsBody:
    """Takes a form without files, as pages and ``curl -d`` send it."""

    def __init__(self, fields: Collection[str], file: FileField) -> None:
        self.fields: dict[str, str] = {}
        self.files: dict[str, Incoming] = {}
        self._names = fields
        self._text = bytearray()
        self._advice = (
            f"If it is the file itself, name its type: curl -H 'Content-Type: {file.media_type}'; or send a "
            f"form: curl -F {file.name}=@FILE."
        )
        """For what ``curl --data-binary @FILE`` calls a form."""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body. Raises ``InvalidRequest`` if they are too many."""
        self._text += chunk
        if len(self._text) > FIELDS_BYTES:
            raise InvalidRequest(
                f"A form without a file has at most {FIELDS_BYTES} bytes; this one has more. {self._advice}"
            )

    def result(self) -> Upload:
        """Return what was in it. Raises ``InvalidRequest`` if it is malformed."""
        try:
            text = self._text.decode()
            if sum(map(bool, text.split("&"))) > MAX_FIELDS:
                raise InvalidRequest(f"The form has more than {MAX_FIELDS} fields. {self._advice}")
            given = parse_qsl(text, errors="strict")
        except ValueError:
            raise InvalidRequest(
                "The form is malformed; send UTF-8, as 'curl --data-urlencode name=value' encodes it. "
                f"{self._advice}"
            ) from None
        known = [(name, value) for name, value in given if name in self._names and value.strip()]
        self.fields = dict(known)
        if len(self.fields) < len(known):
            raise InvalidRequest("A field appears twice.")
        return Upload({}, self.fields, tuple(legible(name) for name, _ in given if name not in self._names))


Body = MultipartBody | FileBody | FieldsBody | JsonBody
"""What takes the bytes of a body; ``fields`` are those that are complete, ``files`` what has come of each."""


def body_of(
    request: Request,
    files: Sequence[FileField],
    fields: Collection[str],
    max_bytes: int,
    translate: Translate | None,
) -> Body:
    """Return what reads a body of this kind. Raises ``UnsupportedMedia``."""
    coding = request.headers.get("content-encoding", "").lower()
    if coding not in ("", "identity"):
        raise UnsupportedMedia(
            f"The body is compressed ({coding[:40]!r}); send it as it is, without Content-Encoding."
        )
    kind, options = parse_options_header(request.headers.get("content-type"))
    name = kind.decode("latin-1").lower()
    if translate and name != "multipart/form-data":
        return JsonBody(files, fields, translate)
    if name.startswith(RAW_KINDS) or name in RAW_TYPES:
        return FileBody(request, files[0].name, fields, max_bytes)
    if name == "application/json":
        return JsonBody(files, fields)
    if name == "application/x-www-form-urlencoded":
        return FieldsBody(fields, files[0])
    boundary = options.get(b"boundary")
    if name != "multipart/form-data" or not boundary:
        raise UnsupportedMedia(
            f"The body is {repr(name[:80]) if name else 'of no declared type'}. Send multipart/form-data "
            f"with a boundary, as 'curl -F {files[0].name}=@FILE' does, the file itself with a Content-Type "
            "of audio/..., video/... or image/... and the parameters in the query, or application/json with "
            f"{files[0].address}."
        )
    return MultipartBody(boundary, files, fields, max_bytes)


async def short_body(request: Request) -> bytes:
    """Return a body that has no files in it. Raises ``InvalidRequest`` if it has more than ``FORM_BYTES``."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES:
            raise InvalidRequest(f"The body has more than {FORM_BYTES} bytes; send addresses, not files.")
    return bytes(body)


def _name_of(request: Request) -> str:
    """Return the name that the client gives its file in Content-Disposition, if it does."""
    _, options = parse_options_header(request.headers.get("content-disposition"))
    return options.get(b"filename", b"").decode("utf-8", "replace")


def ignored_query_fields(request: Request) -> list[str]:
    """Return what a query says that is none of its business: only a file alone has its parameters there."""
    return [f"{legible(name)} (in the query)" for name in request.query_params if name not in _NOT_FIELDS]
