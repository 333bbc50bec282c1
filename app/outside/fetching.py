"""Fetching a file from a URL in a request, in chunks, within limits of size and time."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote
from weakref import WeakValueDictionary

import httpx

from app.errors import AddressRefused, FetchFailed
from app.outside.allowance import PORTS, Allowance, read_url
from app.outside.reach import MAX_REDIRECTS, Resolve, client, send, system_resolve


@dataclass(frozen=True)
class FetchTimeouts:
    """How slow a host may be, in seconds."""

    total: float = 300.0
    """Until the last byte."""
    connect: float = 10.0
    """Until there is a connection; once for each address that the host has."""
    head: float = 30.0
    """Until an answer begins, redirects included."""
    stretch: float = 20.0
    """In so many seconds must come"""
    least_bytes: int = 64 << 10
    """at least so many bytes, or the end."""


@dataclass(frozen=True)
class Fetched:
    """A file that is being fetched."""

    filename: str
    """The last part of its address."""
    announced: int
    """How many bytes the host says that there are; 0 if it does not."""
    pieces: AsyncGenerator[bytes]
    """Its bytes. Raises ``FetchFailed``."""


class Fetcher:
    """Fetches files, so many at a time, of which at most half are for one key, or one host without keys."""

    def __init__(
        self,
        allowance: Allowance,
        *,
        at_a_time: int = 8,
        timeouts: FetchTimeouts = FetchTimeouts(),
        resolve: Resolve = system_resolve,
    ) -> None:
        self._turns = asyncio.Semaphore(at_a_time)
        self._share = max(1, at_a_time // 2)
        self._own_turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._allowance = allowance
        self._timeouts = timeouts
        self._resolve = resolve

    @asynccontextmanager
    async def fetch(self, text: str, owner: str | None = None) -> AsyncGenerator[Fetched]:
        """Begin to fetch the file at an address; it is there for as long as the block lasts.

        ``owner`` is the digest of the key for which it is fetched.

        Raises ``AddressRefused``, ``FetchFailed``.
        """
        url = read_url(text)
        if self._allowance.is_empty and url.scheme in PORTS:
            raise AddressRefused(
                "This service does not fetch files: send the file itself, or ask the operator to set "
                "MOUTHPIECE_FETCH."
            )
        self._allowance.check(url)
        timeout = httpx.Timeout(self._timeouts.stretch, connect=self._timeouts.connect)
        own = owner or url.host
        own_turns = self._own_turns.setdefault(own, asyncio.Semaphore(self._share))
        async with own_turns, self._turns, client(self._allowance, self._resolve, timeout) as web:
            deadline = asyncio.get_running_loop().time() + self._timeouts.total
            response = await self._begin(web, url)
            try:
                announced = response.headers.get("content-length", "")
                name = PurePosixPath(unquote(response.url.path)).name
                length = int(announced) if announced.isascii() and announced.isdigit() else 0
                yield Fetched(name, length, self._pieces(response, deadline))
            finally:
                await response.aclose()

    async def _begin(self, web: httpx.AsyncClient, url: httpx.URL) -> httpx.Response:
        request = web.build_request("GET", url, headers={"Accept": "*/*", "Accept-Encoding": "identity"})
        try:
            async with asyncio.timeout(self._timeouts.head):
                response = await send(web, request)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise FetchFailed(f"The file cannot be fetched: {reason(error)}.") from error
        objection = _objection(response)
        if objection:
            await response.aclose()
            raise FetchFailed(f"The file cannot be fetched: its host {objection}.")
        return response

    async def _pieces(self, response: httpx.Response, deadline: float) -> AsyncGenerator[bytes]:
        now = asyncio.get_running_loop().time
        since, came = now(), 0
        pieces = response.aiter_raw()
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    piece = await anext(pieces, None)
            except (httpx.HTTPError, TimeoutError) as error:
                raise FetchFailed(f"The download broke off: {reason(error)}.") from error
            if piece is None:
                return
            yield piece
            came += len(piece)
            if now() - since > self._timeouts.stretch:
                if came < self._timeouts.least_bytes:
                    raise FetchFailed("The download broke off: the host sends too slowly.")
                since, came = now(), 0


def _objection(response: httpx.Response) -> str:
    if response.status_code != httpx.codes.OK:
        return f"answers {response.status_code}"
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        return "sends it compressed, which nobody asked for"
    return ""


def reason(error: Exception) -> str:
    """Return why a host gave nothing, without what a stranger need not know of the network here."""
    match error:
        case httpx.TooManyRedirects():
            return f"its address leads on more than {MAX_REDIRECTS} times"
        case httpx.TimeoutException() | TimeoutError():
            return "its host takes too long"
        case httpx.ConnectError() if "name of its host" in str(error):
            return str(error)
        case httpx.ConnectError():
            return "its host cannot be connected to"
    return "its host does not answer as HTTP asks for"
