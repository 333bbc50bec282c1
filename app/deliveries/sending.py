"""One attempt to send something: what comes of it, and whether another makes sense."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final

import httpx

from app.errors import AddressRefused
from app.outside.allowance import Allowance, read_url
from app.outside.fetching import reason
from app.outside.reach import Resolve, client, send
from app.threads import on_results, tidy_results

WEBHOOK_SECONDS: Final = 15.0
"""How long the receiver of a webhook may take to answer."""
CONNECT_SECONDS: Final = 10.0
PIECE_SECONDS: Final = 30.0
"""How long a host may take no piece of a file."""

MOST_PATIENCE: Final = 3600.0
"""Nobody who asks for time is given more seconds than this at once."""

_PIECE: Final = 256 << 10
_AGAIN: Final = frozenset({408, 409, 425, 429})
"""Of the statuses that blame the request, those that may be others the next time."""
_AZURE: Final = ".blob.core.windows.net"


@dataclass(frozen=True)
class Outcome:
    """What came of an attempt."""

    done: bool
    status: int | None = None
    """What the receiver answered; None if it did not."""
    detail: str | None = None
    """Why it failed, a sentence."""
    final: bool = False
    """Whether no other attempt makes sense."""
    again_after: float = 0.0
    """Seconds for which the receiver asks to be left alone, at most an hour."""


class Sender:
    """Sends to whom an allowance lets be reached."""

    def __init__(self, allowance: Allowance, resolve: Resolve, seconds: float) -> None:
        """``seconds`` is how long the sending of a file may take."""
        self._allowance = allowance
        self._resolve = resolve
        self._seconds = seconds

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> Outcome:
        """Post a message of JSON. 410 says that its receiver wants no more."""
        outcome = await self._send(
            "POST",
            url,
            body,
            {"Content-Type": "application/json"} | headers,
            WEBHOOK_SECONDS,
            WEBHOOK_SECONDS,
        )
        return replace(outcome, final=outcome.status == httpx.codes.GONE)

    async def put(self, url: str, path: Path, media_type: str) -> Outcome:
        """Put a file where an address says, such as a presigned one of S3, GCS or Azure."""
        try:
            size = (await on_results(path.stat)).st_size
        except FileNotFoundError:
            return Outcome(False, detail="The file no longer exists.", final=True)
        headers = {"Content-Type": media_type, "Content-Length": str(size)}
        if httpx.URL(url).raw_host.decode("ascii").endswith(_AZURE):
            headers["x-ms-blob-type"] = "BlockBlob"
        async with aclosing(_File(path)) as body:
            outcome = await self._send("PUT", url, body, headers, PIECE_SECONDS, self._seconds)
        status = outcome.status or 0
        return replace(outcome, final=400 <= status < 500 and status not in _AGAIN)

    async def _send(
        self,
        method: str,
        url: str,
        content: "bytes | _File",
        headers: dict[str, str],
        step: float,
        seconds: float,
    ) -> Outcome:
        timeout = httpx.Timeout(step, connect=CONNECT_SECONDS)
        try:
            async with asyncio.timeout(seconds), client(self._allowance, self._resolve, timeout) as web:
                request = web.build_request(method, read_url(url), content=content, headers=headers)
                response = await send(web, request)
                await response.aclose()
        except AddressRefused as error:
            return Outcome(False, detail=error.detail)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            return Outcome(False, detail=f"It could not be sent: {reason(error)}.")
        if response.is_success:
            return Outcome(True, response.status_code)
        return Outcome(
            False,
            response.status_code,
            f"The receiver answered {response.status_code}.",
            again_after=_asked_for(response.headers.get("retry-after", "")),
        )


def _asked_for(header: str) -> float:
    """Return the seconds that ``Retry-After`` names; 0 if it is a date, which clocks may not agree on."""
    return min(MOST_PATIENCE, float(header)) if re.fullmatch("[0-9]{1,9}", header) else 0.0


class _File(httpx.AsyncByteStream):
    """A file as the body of a request; may be read more than once, as a redirect asks for.

    Whoever sends it closes it: a request that is given up leaves its body where it stands.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: list[BinaryIO] = []
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        file = await on_results(self._open)
        while piece := await on_results(file.read, _PIECE):
            yield piece

    def _open(self) -> BinaryIO:
        file = self._path.open("rb")
        self._files.append(file)
        if self._closed:  # while it was being opened
            file.close()
        return file

    async def aclose(self) -> None:
        """Close it, however often it was read."""
        self._closed = True
        for file in self._files:
            await tidy_results(file.close)
