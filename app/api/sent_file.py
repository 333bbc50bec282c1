"""Files of a volume as responses: opened before the answer begins, read piece by piece.

Starlette's own response looks first and opens later, in threads that a volume which hangs would take from
everything else; what went in between breaks its answer.
"""

import os
import re
from collections.abc import Mapping
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from typing import Final

from anyio import AsyncFile, open_file, to_thread
from fastapi import Response
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from app.api.disconnects import cancel_on_disconnect
from app.errors import MouthpieceError
from app.threads import RESULTS, Lane
from app.volume import is_misplaced

PIECE_BYTES: Final = 64 << 10
"""How much of a file is read, and waits for a slow reader, at a time."""

_RANGE: Final = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))")
"""No file has more bytes than 18 digits can say; longer numbers are no range."""


class SentFile(Response):
    """A file; with a ``tag`` also one range of it.

    ``tag`` is a strong ``ETag`` (RFC 9110, section 8.8.3) of bytes that never change. Without one the file is
    sent whole, whatever range is asked for: a server need not know ranges. ``gone`` is raised if there is no
    such file, or a folder in its place, an HTTP 412 if it is not the one that is wanted, and an HTTP 416 for
    a range beyond its end. ``lane`` is that of the volume on which it lies.
    """

    def __init__(
        self,
        path: Path,
        *,
        media_type: str,
        gone: MouthpieceError,
        headers: Mapping[str, str],
        tag: str | None = None,
        lane: Lane = RESULTS,
    ) -> None:
        super().__init__(
            headers={
                "Accept-Ranges": "bytes" if tag else "none",
                **({"ETag": tag} if tag else {}),
                **headers,
            },
            media_type=media_type,
        )
        self._path = path
        self._gone = gone
        self._tag = tag
        self._lane = lane

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, or say that the client has it."""
        try:
            file = await open_file(self._path, "rb", limiter=self._lane)
        except OSError as error:
            if isinstance(error, FileNotFoundError) or is_misplaced(error):
                raise self._gone from None
            raise
        async with file:
            asked = Headers(scope=scope)
            found = await to_thread.run_sync(os.fstat, file.wrapped.fileno(), limiter=self._lane)
            self.headers["last-modified"] = formatdate(found.st_mtime, usegmt=True)
            if scope["method"] in ("GET", "HEAD") and self._is_known(asked, int(found.st_mtime)):
                self.status_code, begin, end = 304, 0, 0
                del self.headers["content-length"], self.headers["content-type"]
            else:
                ranged = asked.get("range", "") if scope["method"] == "GET" else ""
                begin, end = self._place(ranged, asked.get("if-range"), found.st_size)
                self.headers["content-length"] = str(end - begin)
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            if scope["method"] == "HEAD":
                end = begin
            async with cancel_on_disconnect(receive):
                await send_pieces(send, file, begin, end)
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _is_known(self, asked: Headers, written: int) -> bool:
        """Whether the client says that it has the file (13.2.2); ``written`` is a POSIX time, seconds.

        Raises an HTTP 412 where it wants this very file, or one as old as it says, and this is another one.
        """
        match, unchanged_since = asked.get("if-match"), _time(asked.get("if-unmodified-since"))
        if match is not None and _tags(match).isdisjoint({self._tag, "*"}):
            raise HTTPException(412, "The file has another ETag than those of If-Match.")
        if match is None and unchanged_since is not None and written > unchanged_since:
            raise HTTPException(412, "The file was written after the time of If-Unmodified-Since.")
        none_match, known_since = asked.get("if-none-match"), _time(asked.get("if-modified-since"))
        if none_match is not None:  # weak tags do as well (13.1.2)
            known = {tag.removeprefix("W/") for tag in _tags(none_match)}
            return self._tag is not None and not known.isdisjoint({self._tag, "*"})
        return known_since is not None and written <= known_since

    def _place(self, ranged: str, if_range: str | None, size: int) -> tuple[int, int]:
        """Return the first byte that is sent and the one after the last; ignore what RFC 9110 lets ignore.

        That is a range that is malformed or of an earlier file, and several ranges.
        """
        match = _RANGE.fullmatch(ranged.strip()) if self._tag else None
        if match is None or if_range not in (None, self._tag, self.headers["last-modified"]):
            return 0, size
        first, last, suffix = (int(number) if number else None for number in match.groups())
        if first is not None and last is not None and last < first:
            return 0, size
        begin = max(0, size - suffix) if suffix is not None else first or 0
        if begin >= size:
            raise HTTPException(416, "The range lies beyond the end.", {"Content-Range": f"bytes */{size}"})
        end = size if last is None else min(size, last + 1)
        self.status_code = 206
        self.headers["content-range"] = f"bytes {begin}-{end - 1}/{size}"
        return begin, end


def _tags(field: str) -> set[str]:
    return set(re.split(r"\s*,\s*", field.strip()))


def _time(field: str | None) -> float | None:
    """Return an HTTP date as POSIX time, seconds; None for what is none, to be ignored (13.1.3)."""
    try:
        return parsedate_to_datetime(field).timestamp() if field else None
    except (ValueError, OverflowError):
        return None


async def send_pieces(send: Send, file: AsyncFile[bytes], begin: int, end: int) -> None:
    """Send the bytes of a file from ``begin`` up to ``end``. Raises ``OSError`` if it has fewer."""
    await file.seek(begin)
    while begin < end:
        piece = await file.read(min(PIECE_BYTES, end - begin))
        if not piece:
            raise OSError(f"{file.wrapped.name} is shorter than it was")
        begin += len(piece)
        await send({"type": "http.response.body", "body": piece, "more_body": True})
